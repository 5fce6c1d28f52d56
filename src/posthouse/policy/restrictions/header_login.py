"""Restrictions that hold the addresses in From: and its like against the login of whoever sends the message.

The sender of the envelope is what servers see; the header is what people read.
"""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.mail.address_list import parse_addresses
from posthouse.mail.headers import divide, name_of, value_of
from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Refuse, server_error
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import Check
from posthouse.policy.sender_logins import is_login_offered, owners_of
from posthouse.policy.verdict import Action, Effect, Note

FIELDS = "posthouse_header_sender_login_fields"
MOST_ADDRESSES = 100  # asked of tables for one message


@restriction(stages=Stage.END_OF_DATA)
async def reject_header_sender_login_mismatch(check: Check) -> Answer:
    """Refuse mail of a login with an address in From: (or what else posthouse_header_sender_login_fields names) that
    does not belong to it by smtpd_sender_login_maps. Clients without a login are not asked.
    """
    return await _refuse(check, "reject_header_sender_login_mismatch", only_known=False)


@restriction(stages=Stage.END_OF_DATA)
async def reject_known_header_sender_login_mismatch(check: Check) -> Answer:
    """As reject_header_sender_login_mismatch, for addresses in smtpd_sender_login_maps only."""
    return await _refuse(check, "reject_known_header_sender_login_mismatch", only_known=True)


@restriction(stages=Stage.END_OF_DATA)
async def hold_header_sender_login_mismatch(check: Check) -> Answer:
    """As reject_header_sender_login_mismatch, but such mail is taken and put on hold (postsuper -H lets it go)."""
    return await _hold(check, "hold_header_sender_login_mismatch", only_known=False)


@restriction(stages=Stage.END_OF_DATA)
async def hold_known_header_sender_login_mismatch(check: Check) -> Answer:
    """As hold_header_sender_login_mismatch, for addresses in smtpd_sender_login_maps only."""
    return await _hold(check, "hold_known_header_sender_login_mismatch", only_known=True)


async def _refuse(check: Check, word: str, *, only_known: bool) -> Answer:
    found = await _mismatch(check, word, only_known=only_known)
    if found is None:
        return None
    field, address = found
    text = f"<{address}>: Header {field} rejected: not owned by user {check.request.sasl_username}"
    return Refuse(Status("5.7.1", 550, text))


async def _hold(check: Check, word: str, *, only_known: bool) -> Answer:
    found = await _mismatch(check, word, only_known=only_known)
    if found is None:
        return None
    if check.means.settings.text("smtpd_proxy_filter"):
        check.means.log.warning(f"restriction `{word}': with smtpd_proxy_filter specified, mail cannot be held")
        raise server_error()
    field, address = found
    reason = f"not owned by user {check.request.sasl_username}"
    check.actions.append(Action(Effect.HOLD, reason))
    check.notes.append(Note("hold", f"<{address}>: Header {field} {reason}"))
    return None


async def _mismatch(check: Check, word: str, *, only_known: bool) -> tuple[str, str] | None:
    """The first field and address that the client's login may not use; None where all is well, or nobody logged in."""
    request = check.request
    if not is_login_offered(check, word) or not request.sasl_username or request.header is None:
        return None
    login, size_limit = request.sasl_username.lower(), check.means.settings.integer("header_size_limit")
    asked: set[str] = set()
    for field, address in _addresses(request.header(), check.means.settings.items(FIELDS), size_limit):
        if address in asked:
            continue
        asked.add(address)
        owners = await owners_of(check, address) if len(asked) <= MOST_ADDRESSES else frozenset[str]()
        if not (owners is None and only_known) and login not in (owners or ()):
            return field, address
    return None


def _addresses(header: bytes, names: tuple[str, ...], size_limit: int) -> Iterator[tuple[str, str]]:
    """Field names and addresses, "" for a field without any; what is beyond size_limit (bytes) cleanup cuts off."""
    wanted = {name.rstrip(":").lower().encode(): name.rstrip(":") for name in names}
    for field in divide(header).fields:
        shown = wanted.get(name_of(field))
        if shown is None:
            continue
        value = value_of(field[:size_limit]).decode("utf-8", "surrogateescape")
        found = [entry.address.internal for entry in parse_addresses(value, len(value)) if entry.address is not None]
        yield from ((shown, address) for address in found or ("",))
