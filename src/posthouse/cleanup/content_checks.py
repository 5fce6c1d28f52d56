"""Actions of header_checks and body_checks: what a table's answer does to a line and its mail (header_checks(5))."""

from __future__ import annotations

import re
from collections.abc import Callable

from posthouse.cleanup.work import Work
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import Maps
from posthouse.mail.headers import is_field, name_of
from posthouse.mail.mime_lines import MIME_FIELDS
from posthouse.maillog import cleanup as maillog

_DSN = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_MILTER_HEADER = "milter-header"  # a field of a milter's making
_NEED_FIELD = 'need "headername: headervalue"'

# An action gets the work, "header" or "body", the text checked, the argument and the parameter's name; it returns
# what stands in the text's place.
Action = Callable[[Work, str, bytes, str, str], tuple[bytes, ...]]


async def check_field(work: Work, field: bytes, where: str) -> tuple[bytes, ...]:
    """A header field after its checks. where: "header" for the message's own header, "mime" or "nested" for an inner
    one; fields of MIME are checked by mime_header_checks everywhere.
    """
    checks = work.rules.checks
    if where == "mime" or name_of(field) in MIME_FIELDS:
        return await apply_checks(work, checks.mime, "mime_header_checks", ("header", field))
    if where == "nested":
        return await apply_checks(work, checks.nested, "nested_header_checks", ("header", field))
    return await apply_checks(work, checks.header, "header_checks", ("header", field))


async def check_body_line(work: Work, line: bytes) -> tuple[bytes, ...]:
    """A line of the body, without its LF, after body_checks."""
    return await apply_checks(work, work.rules.checks.body, "body_checks", ("body", line))


async def apply_checks(work: Work, maps: Maps, name: str, subject: tuple[str, bytes]) -> tuple[bytes, ...]:
    """What stands in the place of the text in subject ("header" or "body", and the text)."""
    kind, text = subject
    try:
        value = await maps.find(text.decode("utf-8", "surrogateescape"))
    except LookupFailed:
        raise work.lookup_problem(name, "") from None
    if value is None:
        return (text,)
    command, _, argument = value.partition(" ") if " " in value else value.partition("\t")
    action = _ACTIONS.get(command.upper())
    if action is None:
        work.log.warning(f"unknown command in {name} map: {value}")
        return (text,)
    return action(work, kind, text, argument.strip(), name)


def _log(work: Work, action: str, kind: str, text: bytes, argument: str) -> None:
    if kind == _MILTER_HEADER:
        action, kind = f"milter-header-{action}", "header"
    content = f"{kind} {text.decode('utf-8', 'replace')}"
    addresses = (work.sender, work.last_recipient, argument)
    work.log.info(maillog.checked(work.queue_id, action, content, work.submission.envelope.origin, addresses))


def _reject(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    match = _DSN.match(argument)
    dsn, words = (match[1], argument[match.end() :]) if match else ("5.7.1", argument)
    if dsn.startswith("2"):
        work.log.warning(f"bad DSN action in {argument} -- need 4.x.x or 5.x.x")
        dsn = f"4{dsn[1:]}"
    words = words or "message content rejected"
    _log(work, "reject", kind, text, f"{dsn} {words}")
    raise work.refuse(dsn, 451 if dsn.startswith("4") else 550, words)


def _discard(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    _log(work, "discard", kind, text, argument)
    work.discard = True
    return ()


def _hold(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    if not work.hold:
        _log(work, "hold", kind, text, argument)
    work.hold = True
    return (text,)


def _filter(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:
    if not argument:
        work.log.warning(f"missing FILTER command argument in {name} map")
    elif ":" not in argument:
        work.log.warning(f"bad FILTER command {argument} in {name} -- need transport:destination")
    else:
        work.content_filter = argument
        _log(work, "filter", kind, text, argument)
    return (text,)


def _redirect(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:
    if "@" not in argument:
        work.log.warning(f'bad REDIRECT target "{argument}" in {name} map -- need user@domain')
    else:
        work.redirect = argument
        work.unchecked = True  # no other check applies to redirected mail
        _log(work, "redirect", kind, text, argument)
    return (text,)


def _bcc(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:
    if "@" not in argument:
        work.log.warning(f'bad BCC address "{argument}" in {name} map -- need user@domain')
    else:
        work.check_bcc.append(argument)
        _log(work, "bcc", kind, text, argument)
    return (text,)


def _prepend(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:
    added = argument.encode("utf-8", "surrogateescape")
    if not argument:
        work.log.warning(f"PREPEND action without text in {name} map")
        return (text,)
    if kind == _MILTER_HEADER:
        _log(work, "prepend", kind, text, argument)
        work.log.warning("the milter_header/body_checks prepend action is not implemented")
        return (text,)
    if kind == "header" and not is_field(added):
        work.log.warning(f'bad PREPEND header text "{argument}" in {name} map -- {_NEED_FIELD}')
        return (text,)
    _log(work, "prepend", kind, text, argument)
    return added, text


def _replace(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:
    new = argument.encode("utf-8", "surrogateescape")
    if not argument:
        work.log.warning(f"REPLACE action without text in {name} map")
        return (text,)
    if kind != "body" and not is_field(new):
        work.log.warning(f'bad REPLACE header text "{argument}" in {name} map -- {_NEED_FIELD}')
        return (text,)
    _log(work, "replace", kind, text, argument)
    return (new,)


def _warn(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    _log(work, "warning", kind, text, argument)
    return (text,)


def _info(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    _log(work, "info", kind, text, argument)
    return (text,)


def _strip(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    _log(work, "strip", kind, text, argument)
    return ()


def _ignore(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    return ()


def _dunno(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    return (text,)


def _pass(work: Work, kind: str, text: bytes, argument: str, name: str) -> tuple[bytes, ...]:  # noqa: ARG001
    """All other content checks of this message are skipped."""
    _log(work, "pass", kind, text, argument)
    work.unchecked = True
    return (text,)


_ACTIONS: dict[str, Action] = {
    "REJECT": _reject,
    "DISCARD": _discard,
    "HOLD": _hold,
    "FILTER": _filter,
    "REDIRECT": _redirect,
    "BCC": _bcc,
    "PREPEND": _prepend,
    "REPLACE": _replace,
    "WARN": _warn,
    "INFO": _info,
    "STRIP": _strip,
    "IGNORE": _ignore,
    "DUNNO": _dunno,
    "OK": _dunno,
    "PASS": _pass,
}
