"""Milters see the message as it will stand in the queue, and change it (cleanup(8), MILTER_README)."""

from __future__ import annotations

import os

from posthouse.cleanup.bcc import add_check_bcc
from posthouse.cleanup.content_checks import apply_checks
from posthouse.cleanup.envelope_addresses import add_recipient, rewrite_sender
from posthouse.cleanup.milter_body import NewBody, pieces_of
from posthouse.cleanup.milter_session import note, obey
from posthouse.cleanup.work import Work
from posthouse.filters.milter import HOLDS, Edits, Effect, Milter, Ruling
from posthouse.mail.address import unquote_address
from posthouse.mail.content import FilePart
from posthouse.mail.envelope import Notify, Recipient
from posthouse.mail.headers import divide, is_field, name_of
from posthouse.maillog import milter as maillog
from posthouse.protocols.milter import (
    AddHeader,
    AddRecipient,
    ChangeFrom,
    ChangeHeader,
    DeleteRecipient,
    Edit,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)

_NOTIFY = {"NEVER": Notify.NEVER, "SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}
_WHERE = "END-OF-MESSAGE"


async def apply_milters(work: Work) -> None:
    """Each milter sees what those before it have changed; the first that objects decides."""
    if work.milters is None:
        return
    own = _fields(work)[0]  # the receiver's own field is not the message's (sendmail shows it to nobody either)
    for number, milter in enumerate(work.milters):
        ruling = await _ask(work, milter, number, own)
        if ruling is not None:
            obey(work, ruling, _WHERE, work.last_recipient)
            return
        if work.discard:
            return
    if not work.recipients:
        note(work, Effect.DISCARD.value, _WHERE, maillog.NOBODY, None)
        work.discard = True


async def _ask(work: Work, milter: Milter, number: int, own: bytes) -> Ruling | None:
    """Show the message to one milter, and do as it wishes."""
    spool = os.path.join(work.rules.settings.text("queue_directory"), "posthouse", "spool")
    new = NewBody(os.path.join(spool, f"{work.queue_id}.milter-{number}"), work.rules.message_size_limit)
    try:
        shown = [field for field in _fields(work) if field is not own]
        outcome = await milter.inspect(shown, pieces_of(work.body), new.keep)
        if isinstance(outcome, Ruling):
            return outcome
        await _apply(work, milter, outcome)
        if outcome.replaces_body and not work.discard:
            _take_body(work, new)
    finally:
        new.discard()
    return None


def _take_body(work: Work, new: NewBody) -> None:
    if new.is_too_big:
        raise work.refuse("5.3.4", 552, "Error: message file too big")
    body = new.finish()
    if isinstance(body, FilePart):
        work.replace_file(body)
    else:
        work.drop_file()
        work.body = body


async def _apply(work: Work, milter: Milter, edits: Edits) -> None:
    for edit in edits.changes:
        await _change(work, milter, edit)
        if work.discard:
            return
    await add_check_bcc(work, add_recipient)


async def _change(work: Work, milter: Milter, edit: Edit) -> None:
    match edit:
        case AddHeader(name, value):
            await _place(work, len(_fields(work)), _field(milter, name, value))
        case InsertHeader(index, name, value):
            await _place(work, min(index, len(_fields(work))), _field(milter, name, value))
        case ChangeHeader(index, name, value):
            await _change_header(work, milter, index, (name, value))
        case AddRecipient(address, parameters):
            await _add_recipient(work, address, parameters)
        case DeleteRecipient(address):
            _delete_recipient(work, _internal(address))
        case ChangeFrom(address, parameters):
            await _change_from(work, address, parameters)
        case Quarantine():
            obey(work, HOLDS, _WHERE, work.last_recipient)
        case ReplaceBody():
            raise AssertionError(edit)


# -- the header


def _fields(work: Work) -> list[bytes]:
    """The fields, divided at the latest now."""
    if work.fields is None:
        work.fields = divide(work.header).fields
    return work.fields


def _field(milter: Milter, name: bytes, value: bytes) -> bytes:
    """A field of a milter's making; each further line of its value begins with white space."""
    lines = value.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    folded = [line if line[:1] in (b" ", b"\t") else b"\t" + line for line in lines[1:] if line.strip()]
    space = b"" if milter.gives_leading_space else b" "
    return b"\n".join([name + b":" + space + lines[0], *folded])


async def _place(work: Work, index: int, field: bytes, replaces: bool = False) -> None:
    """Put a field in, unless milter_header_checks say otherwise."""
    if not is_field(field):
        # Differs from Postfix: what is no field would end the header there, and change the body.
        work.log.warning(maillog.no_field(work.queue_id, field.decode("utf-8", "replace")))
        return
    checks = work.rules.milter_header_checks
    placed: tuple[bytes, ...] = (field,)
    if not checks.empty:
        placed = await apply_checks(work, checks, "milter_header_checks", ("milter-header", field))
    _fields(work)[index : index + replaces] = placed


async def _change_header(work: Work, milter: Milter, index: int, field: tuple[bytes, bytes]) -> None:
    """The index-th field of a name, the receiver's own not counted; one that is not there is added."""
    name, value = field
    fields, wanted, seen = _fields(work), name.lower().rstrip(b" \t"), 0
    for position in range(1, len(fields)):
        if name_of(fields[position]) == wanted:
            seen += 1
            if seen >= index:
                if value:
                    await _place(work, position, _field(milter, name, value), replaces=True)
                else:
                    del fields[position]
                return
    if value:
        await _place(work, len(fields), _field(milter, name, value))


# -- the envelope


def _internal(address: str) -> str:
    """<quoted@external> as it stands in the queue."""
    address = address.strip()
    if address.startswith("<") and address.endswith(">"):
        address = address[1:-1]
    return unquote_address(address)


async def _add_recipient(work: Work, address: str, parameters: str) -> None:
    notify, orcpt = Notify.DEFAULT, ""
    for word in parameters.split():
        name, _, value = word.partition("=")
        wishes = [_NOTIFY.get(wish) for wish in value.upper().split(",")]
        if name.upper() == "NOTIFY" and None not in wishes:
            for wish in wishes:
                notify |= wish or Notify.DEFAULT
        elif name.upper() == "ORCPT" and ";" in value:
            orcpt = value
        else:
            work.log.warning(maillog.ignored_parameter(work.queue_id, word))
    last = work.last_recipient
    known = await work.rewriter.rewrite("local", _internal(address))
    await add_recipient(work, Recipient(known, "", orcpt, notify))
    work.last_recipient = last


def _delete_recipient(work: Work, address: str) -> None:
    """All that this recipient stood for."""
    gone = address.lower()
    work.recipients = [
        recipient
        for recipient in work.recipients
        if gone not in (recipient.address.lower(), recipient.original.lower())
    ]
    work.seen = {mark for mark in work.seen if gone not in (mark[0], mark[2])}


async def _change_from(work: Work, address: str, parameters: str) -> None:
    for word in parameters.split():
        name, _, value = word.partition("=")
        if name.upper() == "RET" and value.upper() in ("FULL", "HDRS"):
            work.envelope_changes["ret"] = value.upper()
        elif name.upper() == "ENVID" and value:
            work.envelope_changes["envid"] = value
        else:
            work.log.warning(maillog.bad_sender_parameter(word))
    work.sender = _internal(address)
    await rewrite_sender(work)
