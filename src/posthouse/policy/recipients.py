"""Does this address exist here? The tables of each address class (ADDRESS_CLASS_README; smtpd_reject_unlisted_*)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.table import failure_warnings
from posthouse.mail.address import quote_address
from posthouse.mail.status import Status
from posthouse.maillog import compatibility
from posthouse.policy.answer import Answer, Refuse, lookup_trouble
from posthouse.policy.check import RECIPIENT, SENDER, Check
from posthouse.policy.enhanced_codes import fit_dsn
from posthouse.services.resolving import AddressClass, Resolution


@dataclass(frozen=True, slots=True)
class _ClassTables:
    """Which tables list the addresses of a class, and how an unknown one is answered."""

    maps: str
    code: str
    name: str
    may_be_empty: bool


_TABLES = {
    AddressClass.LOCAL: _ClassTables(
        "local_recipient_maps", "unknown_local_recipient_reject_code", "local recipient table", may_be_empty=True
    ),
    AddressClass.VIRTUAL_ALIAS: _ClassTables(
        "virtual_alias_maps", "unknown_virtual_alias_reject_code", "virtual alias table", may_be_empty=False
    ),
    AddressClass.VIRTUAL_MAILBOX: _ClassTables(
        "virtual_mailbox_maps", "unknown_virtual_mailbox_reject_code", "virtual mailbox table", may_be_empty=True
    ),
    AddressClass.RELAY: _ClassTables(
        "relay_recipient_maps", "unknown_relay_recipient_reject_code", "relay recipient table", may_be_empty=True
    ),
}


async def check_recipient_exists(check: Check, recipient: str) -> Answer:
    """Refuse a recipient that no table of its class lists."""
    check.recipient_looked_up = True
    if not recipient:
        return None
    return await _check_exists(check, recipient, RECIPIENT)


async def check_sender_exists(check: Check, sender: str) -> Answer:
    """Refuse a sender that claims to be one of ours and is not."""
    check.sender_looked_up = True
    if not sender:
        return None
    return await _check_exists(check, sender, SENDER)


async def _check_exists(check: Check, address: str, what: str) -> Answer:
    resolved = await check.resolve(address)
    for parameter in _rewriting_maps(what):
        if await _is_listed(check, parameter, resolved.recipient, address):
            return None
    if resolved.transport in ("error", "retry") and resolved.address_class is not AddressClass.VIRTUAL_ALIAS:
        return _refuse_as_transport_says(check, resolved, address, what)
    tables = _TABLES.get(resolved.address_class)
    if tables is None:
        return None
    if tables.may_be_empty and check.means.maps(tables.maps).empty:
        if check.means.relay_domains_are_old and resolved.address_class is AddressClass.RELAY and what is RECIPIENT:
            check.means.log.info(compatibility.relay_address(address))
        return None
    if resolved.address_class is AddressClass.LOCAL and _is_always_there(check, resolved.recipient):
        return None
    if await _is_listed(check, tables.maps, resolved.recipient, address):
        return None
    code = check.means.code(tables.code)
    if resolved.address_class is AddressClass.VIRTUAL_ALIAS and resolved.transport == "error":
        return _refuse_as_transport_says(check, resolved, address, what, code)
    table = f" in {tables.name}" if check.means.settings.flag("show_user_unknown_table_name") else ""
    dsn = "5.1.0" if what is SENDER else "5.1.1"
    return Refuse(Status(dsn, code, f"<{address}>: {what} rejected: User unknown{table}"))


def _rewriting_maps(what: str) -> tuple[str, ...]:
    both = ("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps")
    return ("sender_canonical_maps", *both) if what is SENDER else both


def _refuse_as_transport_says(check: Check, resolved: Resolution, address: str, what: str, code: int = 550) -> Answer:
    """The error and retry transports: the next hop is the reason."""
    permanent = resolved.transport == "error"
    reason = resolved.nexthop or resolved.error
    head, _, rest = reason.partition(" ")
    is_code = len(head) >= 5 and head[0] in "245" and head[1] == "." and head.replace(".", "").isdigit()
    dsn, text = (head, rest) if is_code else ("", reason)
    digit = "5" if permanent else "4"
    fallback = f"{digit}.1.0" if what is SENDER else f"{digit}.1.1"
    dsn = fit_dsn(check, digit + dsn[1:] if dsn else fallback, what)
    return Refuse(Status(dsn, code if permanent else 450, f"<{address}>: {what} rejected: {text}"))


def _is_always_there(check: Check, recipient: str) -> bool:
    """The names that bounce and qmgr themselves use, and postmaster."""
    local = recipient.rpartition("@")[0]
    return (
        local in ("postmaster", "mailer-daemon") or local == check.means.settings.text("double_bounce_sender").lower()
    )


async def _is_listed(check: Check, parameter: str, address: str, subject: str) -> bool:
    maps = check.means.maps(parameter)
    if maps.empty:
        return False
    try:
        found = await find_address(
            maps,
            address,
            delimiters=check.means.settings.text("recipient_delimiter"),
            is_local=check.means.is_local_domain,
        )
    except LookupFailed as problem:
        for text in failure_warnings(problem, quote_address(address)):
            check.means.log.warning(text)
        raise lookup_trouble(subject) from problem
    if check.trace is not None:
        check.learn("table", parameter, address, None if found is None else found.value)
    return found is not None
