"""trivial-rewrite(8): completes addresses, and resolves a recipient to (transport, next hop, recipient)."""

from __future__ import annotations

import re
from time import monotonic

from posthouse.config.compatibility import relies_on_old_default
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.freshness import INTERVAL_S
from posthouse.lookup.maps import open_maps
from posthouse.mail.address import is_valid_hostaddr, is_valid_mail_domain, quote_localpart
from posthouse.maillog import compatibility
from posthouse.rewrite.address_class import AddressClasses, Transports
from posthouse.rewrite.canonical_form import Form, local_form, remote_form, strip_source_route
from posthouse.rewrite.transport_maps import Route, TransportMaps
from posthouse.services.house import House
from posthouse.services.resolving import AddressClass, Resolution

_ROUTING = re.compile("[@!%]")
_BAD_SYNTAX = "5.1.3 bad address syntax"
_MOST_KNOWN = 1000  # answers; kept as long as a changed table may go unnoticed
_FAILED = Resolution("retry", "4.3.0 address resolver failure", "", AddressClass.DEFAULT, failed=True)


class TrivialRewrite:
    """One configuration's rewriting rules. Implements services.resolving.Rewriter."""

    def __init__(self, settings: Settings, house: House) -> None:
        self._settings = settings
        self._known: dict[tuple[str, str, bool], Resolution] = {}
        self._known_until = 0.0
        self._log = house.log(settings, "trivial-rewrite")
        tell = self._tell_of_old_default if relies_on_old_default(settings, "append_dot_mydomain") else None
        self._local, self._remote = local_form(settings, tell), remote_form(settings)
        self._forms: dict[str, Form] = {"local": self._local, "remote": self._remote}
        self._classes = AddressClasses(settings, self._log)
        self._transports = {
            False: Transports(settings, self._log),
            True: Transports(settings, self._log, "address_verify_"),
        }
        self._transport_maps = {
            False: TransportMaps(settings, "transport_maps"),
            True: TransportMaps(settings, "address_verify_transport_maps"),
        }
        self._relocated = open_maps(settings, "relocated_maps")
        self._dequoted = settings.flag("resolve_dequoted_address")
        self._null_domain = settings.flag("resolve_null_domain")
        self._numeric_domain = settings.flag("resolve_numeric_domain")
        self._empty_address = settings.text("empty_address_recipient")
        self._myhostname = settings.text("myhostname")
        self._delimiter = settings.text("recipient_delimiter")
        self._min_user = settings.flag("allow_min_user")
        self._unknown_alias = (
            "5.1.1 User unknown in virtual alias table"
            if settings.flag("show_user_unknown_table_name")
            else "5.1.1 User unknown"
        )

    def _tell_of_old_default(self, domain: str, completed: str) -> None:
        self._log.info(compatibility.dot_appended(domain, completed))

    async def rewrite(self, context: str, address: str) -> str:
        """See Rewriter. An unknown context changes nothing."""
        form = self._forms.get(context)
        return form.complete(address) if form is not None else address

    async def resolve(self, sender: str, address: str, *, probe: bool = False) -> Resolution:
        """See Rewriter. probe: the message only asks whether mail could be delivered (address_verify_* apply)."""
        now = monotonic()
        if now >= self._known_until or len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._known_until = now + INTERVAL_S
        question = (sender, address, probe)
        found = self._known.get(question)
        if found is None:
            try:
                found = await self._resolve(sender, address, probe=probe)
            except LookupFailed:
                return _FAILED
            self._known[question] = found
        return found

    async def _resolve(self, sender: str, address: str, *, probe: bool) -> Resolution:
        recipient, is_local = await self._strip_local_domains(address)
        domain = recipient.rpartition("@")[2]
        if self._numeric_domain and is_valid_hostaddr(domain):
            recipient, domain = f"{recipient[: -len(domain)]}[{domain}]", f"[{domain}]"
        if not is_valid_mail_domain(domain):
            return _bad_syntax(recipient)
        if is_local:
            kind = AddressClass.LOCAL
            await self._classes.warn_of_local(domain)
        else:
            kind = await self._classes.of_remote(domain)
        if kind is AddressClass.VIRTUAL_ALIAS:
            route = Route("error", self._unknown_alias)
        else:
            route = await self._transports[probe].route(kind, domain, sender)
            maps = self._transport_maps[probe]
            if not maps.empty:
                route = await self._override(maps, recipient, route)
        if not self._relocated.empty:
            route = await self._relocate(recipient, route)
        if recipient[0] == "-" and not self._min_user:
            return _bad_syntax(recipient, kind)
        routed = _is_routed(recipient, domain)
        return Resolution(route.transport, route.nexthop, recipient, kind, routed=routed)

    async def _strip_local_domains(self, address: str) -> tuple[str, bool]:
        """Take off local domains while that uncovers another address; what is left, and whether it is local."""
        saved: str | None = None
        for _ in range(len(address) + 100):
            local, at, domain = address.rpartition("@")
            if at:
                if domain.endswith(".") and domain[-2:-1] not in {".", ""}:
                    domain = domain[:-1]
                    address = f"{local}@{domain}"
                if not domain and self._null_domain:
                    address = local
                    continue
                if domain and not await self._classes.is_local(domain):
                    return address, False
                saved, address = domain, local
            uncovered = self._uncover(address)
            if uncovered is None:
                address = address or self._empty_address
                return f"{address}@{self._myhostname if saved is None else saved}", True
            address = uncovered
        self._log.warning(f"resolve_addr: <{address}>: giving up after {len(address) + 100} iterations")
        raise LookupFailed("resolve_addr", address)

    def _uncover(self, localpart: str) -> str | None:
        """The address that a local part hides behind `@`, `!` or `%`; None where there is none."""
        if not (self._dequoted or quote_localpart(localpart) == localpart):
            return None
        form = self._local
        if "@" in localpart:
            return form.complete(strip_source_route(localpart))
        if form.swap_bangpath and "!" in localpart:
            return form.swap_site(localpart)
        if form.percent_hack and "%" in localpart:
            user, _, domain = localpart.rpartition("%")
            return form.complete(f"{user}@{domain}")
        return None

    async def _override(self, maps: TransportMaps, recipient: str, route: Route) -> Route:
        try:
            return await maps.override(recipient, route)
        except LookupFailed:
            self._log.warning("transport_maps lookup failure")
            raise

    async def _relocate(self, recipient: str, route: Route) -> Route:
        try:
            place = await find_address(self._relocated, recipient, delimiters=self._delimiter)
        except LookupFailed:
            self._log.warning("relocated_maps lookup failure")
            raise
        return Route("error", f"5.1.6 User has moved to {place.value}") if place is not None else route


def _bad_syntax(recipient: str, kind: AddressClass = AddressClass.DEFAULT) -> Resolution:
    return Resolution("error", _BAD_SYNTAX, recipient, kind, error=_BAD_SYNTAX, routed=_is_routed(recipient, ""))


def _is_routed(recipient: str, domain: str) -> bool:
    """Whether the sender chose a route: an operator stands before the `@` of the domain."""
    found = _ROUTING.search(recipient)
    return found is not None and recipient[found.end() :] != (domain or recipient.rpartition("@")[2])
