"""Completes addresses to user@domain: swap_bangpath, allow_percent_hack, append_at_myorigin (trivial-rewrite(8))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.mail.address import quote_localpart


@dataclass(frozen=True, slots=True)
class Form:
    """How one rewriting context ("local" or "remote") completes addresses; origin or domain "" append nothing.

    tell hears of each domain that was completed, before and after.
    """

    origin: str
    domain: str
    swap_bangpath: bool
    percent_hack: bool
    tell: Callable[[str, str], None] | None = None

    def complete(self, address: str) -> str:
        """The address as user@domain, internal form in and out. "" stays ""; forms that end in `@` stay as they are."""
        local, at, domain = address.rpartition("@")
        if at:
            if "." in domain and domain[-1] != "." and local:
                return address
            return "" if address == "@" else f"{local}@{self._complete_domain(domain)}"
        return self._qualify(address) if address else ""

    def _qualify(self, localpart: str) -> str:
        """An address without `@`."""
        plain = quote_localpart(localpart) == localpart
        if plain and self.swap_bangpath and "!" in localpart:
            return self.swap_site(localpart)
        if plain and self.percent_hack and "%" in localpart:
            user, _, domain = localpart.rpartition("%")
            return f"{user}@{self._complete_domain(domain)}"
        if self.origin:
            return f"{localpart}@{self._complete_domain(self.origin)}"
        return localpart

    def swap_site(self, localpart: str) -> str:
        """site!user becomes user@site."""
        site, _, user = localpart.partition("!")
        return f"{user}@{self._complete_domain(site)}"

    def _complete_domain(self, domain: str) -> str:
        """append_dot_mydomain, and one trailing dot less; nothing is done to an empty domain."""
        if not domain:
            return domain
        if self.domain and "." not in domain and "[" not in domain:
            completed = f"{domain}.{self.domain}"
            if self.tell is not None:
                self.tell(domain, completed)
            return completed
        if domain[-1] == "." and len(domain) > 1 and domain[-2] != ".":
            return domain[:-1]
        return domain


def strip_source_route(address: str) -> str:
    """`@a,@b:user@c` becomes `user@c` (RFC 5321, appendix C)."""
    if address.startswith("@"):
        _, colon, rest = address.partition(":")
        if colon and rest:
            return rest
    return address


def local_form(settings: Settings, tell: Callable[[str, str], None] | None = None) -> Form:
    """Addresses from here: myorigin, mydomain."""
    return Form(
        settings.text("myorigin") if settings.flag("append_at_myorigin") else "",
        settings.text("mydomain") if settings.flag("append_dot_mydomain") else "",
        settings.flag("swap_bangpath"),
        settings.flag("allow_percent_hack"),
        tell,
    )


def remote_form(settings: Settings) -> Form:
    """Headers from elsewhere: remote_header_rewrite_domain, for what has no domain at all as for what lacks its end."""
    domain = settings.text("remote_header_rewrite_domain")
    return Form(
        domain if settings.flag("append_at_myorigin") else "",
        domain if settings.flag("append_dot_mydomain") else "",
        settings.flag("swap_bangpath"),
        settings.flag("allow_percent_hack"),
    )
