"""What is wrong with main.cf as a whole: parameters set twice, accounts and parameters that do not go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from posthouse.config import main_cf
from posthouse.config.check import Finding
from posthouse.config.main_cf import Place
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError

_CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
_NEVER_BOTH = {("relay_domains", "mydestination")}  # without effect, and once the default


def check_main(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    """All of it."""
    yield from _set_twice(settings)
    yield from _same_account(settings)
    yield from _two_classes(settings)
    yield from _unowned_mailboxes(settings, services)
    yield from _trusted_routing(settings)
    yield from _unheld(settings, services)


def _finding(settings: Settings, name: str, text: str) -> Finding:
    place = settings.place(name) or Place("", 0)
    return Finding("warning", place.file, place.line, name, text)


def _set_twice(settings: Settings) -> Iterator[Finding]:
    """Of two settings of a name the later one counts."""
    file = settings.place_of_file()
    try:
        lines = main_cf.read_main_cf(file)
    except ConfigError:
        return
    last: dict[str, main_cf.Setting] = {}
    for line in lines:
        before = last.get(line.name)
        if before is not None and before.value != line.value:
            text = f"{line.name} is set again in line {line.place.line}: what is said here has no effect"
            yield Finding("note", file, before.place.line, line.name, text)
        last[line.name] = line


def _same_account(settings: Settings) -> Iterator[Finding]:
    """Commands of users must not run with the rights of the mail system.

    Differs from Postfix: it does not start then. The agent host's rights do not depend on mail_owner.
    """
    owner = settings.text("mail_owner")
    if settings.text("default_privs") != owner:
        return
    name = "default_privs" if settings.is_set("default_privs") else "mail_owner"
    text = (
        f"parameters default_privs and mail_owner specify the same user {owner}: commands in aliases would run "
        "with the rights of the mail system. Give mail_owner an account of its own (postfix, say)"
    )
    yield _finding(settings, name, text)


def _two_classes(settings: Settings) -> Iterator[Finding]:
    """A domain belongs to one class."""
    seen: dict[str, str] = {}
    for parameter in _CLASSES:
        for item in settings.items(parameter):
            if ":" in item or item.startswith(("!", "/")):
                continue
            before = seen.setdefault(item.lower(), parameter)
            if before != parameter and settings.is_set(parameter) and (parameter, before) not in _NEVER_BOTH:
                yield _finding(settings, parameter, f"do not list domain {item} in BOTH {before} and {parameter}")


def _unowned_mailboxes(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    """virtual(8) writes with the rights that virtual_uid_maps gives; without them nothing is delivered."""
    if not settings.items("virtual_mailbox_domains"):
        return
    transport = settings.text("virtual_transport").partition(":")[0]
    agents = {service.command for service in services if service.name == transport and service.type != "inet"}
    if agents != {"virtual"}:
        return
    for name in ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps"):
        if not settings.text(name).strip():
            text = f"{name} is empty: mail for virtual_mailbox_domains stays in the queue (static:5000 is usual)"
            if name == "virtual_mailbox_maps":
                text = f"{name} is empty: no mailbox of virtual_mailbox_domains is known"
            yield _finding(settings, "virtual_mailbox_domains", text)


def _trusted_routing(settings: Settings) -> Iterator[Finding]:
    if settings.flag("allow_untrusted_routing"):
        text = "allow_untrusted_routing lets strangers pass mail on by way of your domains (user%elsewhere@yours)"
        yield _finding(settings, "allow_untrusted_routing", text)


def _unheld(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    """Mail that goes to a filter before it is in the queue cannot be put on hold."""
    name = "posthouse_sasl_login_rate_action"
    for service in services:
        if service.command != "smtpd":
            continue
        try:
            view = settings.with_overrides(service.options, service.name, service.file, service.line)
            limits = [view.integer(f"posthouse_sasl_login_{what}_rate_limit") for what in ("message", "recipient")]
        except ConfigError:
            continue  # the service itself says so
        if any(limits) and view.text("smtpd_proxy_filter") and view.text(name) == "hold":
            text = f"{name} = hold: with smtpd_proxy_filter, service {service.name} defers such mail instead"
            yield Finding("warning", service.file, service.line, name, text)
