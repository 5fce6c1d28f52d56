"""The header: message id and hops noted, unwanted fields dropped, addresses rewritten, checks applied (cleanup(8))."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re

from posthouse.cleanup.content_checks import check_field
from posthouse.cleanup.header_addresses import rewrite_field
from posthouse.cleanup.work import Work
from posthouse.errors import PermanentFailure, TemporaryFailure
from posthouse.mail.content import FilePart
from posthouse.mail.headers import ROLES, Role, divide, is_well_formed, limit_size, name_of, value_of
from posthouse.maillog import cleanup as maillog
from posthouse.services.intake import Skip

AT_A_TIME = 200  # fields looked at before other mail gets its turn
_HAS_ADDRESSES = Role.SENDER | Role.RECIPIENT
_NOTED = re.compile(rb"^(received|message-id|resent-[a-z-]+):", re.IGNORECASE | re.MULTILINE)


async def clean_header(work: Work) -> None:
    """All that happens to the fields the message came with."""
    rules = work.rules
    checked = rules.checks.any and not work.submission.skip & Skip.HEADER_BODY_CHECKS
    plain = not (work.context or checked or rules.always_adds_headers)
    if plain and len(work.header) <= rules.header_size_limit and is_well_formed(work.header) and _is_quick(work):
        return
    divided = divide(work.header)
    if divided.rest:
        _move_to_body(work, divided.rest)
    kept: list[bytes] = []
    for number, field in enumerate(divided.fields, 1):
        if not number % AT_A_TIME:
            await asyncio.sleep(0)
        field = limit_size(field, rules.header_size_limit)
        examined = checked and not work.unchecked
        results = await _examine(work, field) if examined else (field,)
        for result in results:
            await _take_field(work, result, kept)
        if work.discard:
            return
    work.fields = kept


async def _examine(work: Work, field: bytes) -> tuple[bytes, ...]:
    """What header_checks leave of the field. A refusal waits for the end of the header, which may go back."""
    try:
        return await check_field(work, field, "header")
    except (TemporaryFailure, PermanentFailure) as failed:
        work.refusal, work.unchecked = failed, True
        return (field,)


def _is_quick(work: Work) -> bool:
    """Note what matters in one go; False where a field must be dropped, so that the header has to be divided."""
    pattern = _dropping(work.rules.dropped_names)
    if pattern is not None and pattern.search(work.header):
        return False
    for match in _NOTED.finditer(work.header):
        name = match[1].lower()
        if name == b"received":
            _count_hop(work)
        else:
            end = work.header.index(b"\n", match.end())
            _note(work, name, work.header[match.start() : end])
    return True


_dropping_patterns: dict[frozenset[bytes], re.Pattern[bytes] | None] = {}


def _dropping(names: frozenset[bytes]) -> re.Pattern[bytes] | None:
    try:
        return _dropping_patterns[names]
    except KeyError:
        joined = b"|".join(re.escape(name) for name in sorted(names))
        pattern = re.compile(rb"^(?:" + joined + rb"):", re.IGNORECASE | re.MULTILINE) if names else None
        _dropping_patterns[names] = pattern
        return pattern


def _move_to_body(work: Work, rest: bytes) -> None:
    """A line that is no field ends the header; a blank line goes in between."""
    if isinstance(work.body, FilePart):
        work.replace_file(_prepend_to_file(work, b"\n" + rest, work.body))
    else:
        work.body = b"\n" + rest + work.body


def _prepend_to_file(work: Work, head: bytes, part: FilePart) -> FilePart:
    """A new file beside the old one."""
    path = f"{part.path}.joined-{work.queue_id}"
    try:
        with open(part.path, "rb") as old, open(path, "wb") as new:
            old.seek(part.offset)
            new.write(head)
            left = part.length
            while left > 0 and (chunk := old.read(min(left, 1 << 16))):
                new.write(chunk)
                left -= len(chunk)
            new.flush()
            os.fsync(new.fileno())
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
    return FilePart(path, 0, len(head) + part.length - left)


async def _take_field(work: Work, field: bytes, kept: list[bytes]) -> None:
    name = name_of(field)
    _note(work, name, field)
    role = ROLES.get(name)
    if name == b"received":
        _count_hop(work)
    if name in work.rules.dropped_names:
        return
    if role and work.context and role & _HAS_ADDRESSES:
        field = limit_size(await rewrite_field(work, field, role), work.rules.header_size_limit)
    kept.append(field)


def _note(work: Work, name: bytes, field: bytes) -> None:
    """Remember that the field is there; message ids go to the log."""
    work.present.add(name)
    if name in {b"message-id", b"resent-message-id"}:
        value = value_of(field).decode("utf-8", "backslashreplace")
        work.log.info(maillog.message_id(work.queue_id, value, resent=name.startswith(b"resent-")))
    if name[:7] == b"resent-" and ROLES.get(name, Role.NOTHING) & Role.RESENT:
        work.resent = True


def _count_hop(work: Work) -> None:
    work.hops += 1
    if work.hops == work.rules.hopcount_limit:
        work.log.warning(f"{work.queue_id}: message rejected: hopcount exceeded")
        work.refusal = work.refusal or work.refuse("5.4.0", 554, "Error: too many hops")
