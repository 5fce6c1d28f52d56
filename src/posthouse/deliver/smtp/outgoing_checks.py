"""smtp_header_checks, smtp_body_checks and their kin: lines changed or left out as mail leaves (header_checks(5)).

Nothing can be refused here any more: the actions that would decide about the whole message are warned of and not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from posthouse.config.settings import Settings
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.headers import divide, is_field
from posthouse.mail.mime_lines import ContentType, Line, MimeState, content_type
from posthouse.maillog import smtp as maillog
from posthouse.system.log import DaemonLog

_NOT_HERE = frozenset({"REJECT", "DISCARD", "HOLD", "FILTER", "REDIRECT", "BCC", "DELAY", "PASS"})


class OutgoingChecks:
    """The tables of one service. empty: nothing is to be done. Raises LookupFailed where a table cannot answer."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog) -> None:
        self._log = log
        self.header_name, self.mime_name, self.nested_name, self.body_name = (
            f"{prefix}_{kind}_checks" for kind in ("header", "mime_header", "nested_header", "body")
        )
        names = (self.header_name, self.mime_name, self.nested_name, self.body_name)
        self.maps: dict[str, Maps] = {name: open_maps(settings, name) for name in names}
        self.empty = all(maps.empty for maps in self.maps.values())
        self.reads_body = not all(self.maps[name].empty for name in names[1:])
        self.body_limit = settings.integer("body_checks_size_limit")
        self.nesting_limit = settings.integer("mime_nesting_limit")
        self.boundary_limit = settings.integer("mime_boundary_length_limit")

    def header(self, queue_id: str, header: bytes) -> bytes:
        """The header after smtp_header_checks."""
        if self.maps[self.header_name].empty:
            return header
        divided = divide(header)
        kept = [result for text in divided.fields for result in self.check(queue_id, self.header_name, "header", text)]
        return b"".join(text + b"\n" for text in kept) + divided.rest

    def body(self, queue_id: str, header: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of the body that remain; header is the message's as it came."""
        return _Walk(self, queue_id).run(header, lines)

    def check(self, queue_id: str, name: str, kind: str, text: bytes) -> tuple[bytes, ...]:
        """What stands in the place of a field ("header") or a line ("body")."""
        maps = self.maps[name]
        value = None if maps.empty else maps.lookup(text.decode("utf-8", "surrogateescape"))
        if value is None:
            return (text,)
        command, _, argument = value.replace("\t", " ", 1).partition(" ")
        command, argument = command.upper(), argument.strip()
        new = argument.encode("utf-8", "surrogateescape")
        match command:
            case "IGNORE":
                return ()
            case "DUNNO" | "OK":
                return (text,)
            case "STRIP" | "WARN" | "INFO":
                self._note(queue_id, {"WARN": "warning"}.get(command, command.lower()), kind, text, argument)
                return () if command == "STRIP" else (text,)
            case "REPLACE" | "PREPEND" if not argument:
                self._log.warning(f"{command} action without text in {name} map")
            case "REPLACE" | "PREPEND" if kind == "header" and not is_field(new):
                self._log.warning(
                    f'bad {command} header text "{argument}" in {name} map -- need "headername: headervalue"'
                )
            case "REPLACE" | "PREPEND":
                self._note(queue_id, command.lower(), kind, text, argument)
                return (new,) if command == "REPLACE" else (new, text)
            case _:
                what = "unsupported" if command in _NOT_HERE else "unknown"
                self._log.warning(f"{what} command in {name} map: {value}")
        return (text,)

    def _note(self, queue_id: str, action: str, kind: str, text: bytes, argument: str) -> None:
        content = f"{kind} {text.decode('utf-8', 'replace')}"
        self._log.info(maillog.checked(queue_id, action, content, argument))


@dataclass(slots=True)
class _Walk:
    """One pass over a body, which begins with the blank line after the header."""

    checks: OutgoingChecks
    queue_id: str
    checked_bytes: int = 0
    field_lines: list[bytes] = field(default_factory=list)
    kind: ContentType | None = None

    def run(self, header: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
        state = MimeState(self.checks.nesting_limit, self.checks.boundary_limit)
        rest = iter(lines)
        yield next(rest, b"")
        types = (found for text in divide(header).fields if (found := content_type(text)) is not None)
        state.begin_body(next(types, None))
        for line in rest:
            where = state.classify(line)
            if where is Line.BOUNDARY or (state.in_header is None and self.field_lines):
                yield from self._end_field(state.in_header or Line.PART_HEADER)
            if where is Line.BOUNDARY:
                self.checked_bytes, self.kind = 0, None
                yield line
            elif where is Line.BODY:
                yield from self._body_line(line)
            else:
                yield from self._header_line(line, state, where)
        yield from self._end_field(Line.PART_HEADER)

    def _header_line(self, line: bytes, state: MimeState, where: Line) -> Iterator[bytes]:
        if line[:1] in {b" ", b"\t"} and self.field_lines:
            self.field_lines.append(line)
            return
        yield from self._end_field(where)
        if is_field(line):
            self.field_lines.append(line)
            return
        state.begin_body(self.kind)
        self.checked_bytes, self.kind = 0, None
        yield from (line,) if line == b"\n" else self._body_line(line)

    def _end_field(self, where: Line) -> Iterator[bytes]:
        if not self.field_lines:
            return
        text = b"".join(self.field_lines).removesuffix(b"\n")
        self.field_lines.clear()
        self.kind = content_type(text) or self.kind
        name = self.checks.nested_name if where is Line.NESTED_HEADER else self.checks.mime_name
        for result in self.checks.check(self.queue_id, name, "header", text):
            yield result + b"\n"

    def _body_line(self, line: bytes) -> Iterator[bytes]:
        text = line.removesuffix(b"\n")
        if not text or self.checked_bytes > self.checks.body_limit:
            yield line
            return
        self.checked_bytes += len(line)
        for result in self.checks.check(self.queue_id, self.checks.body_name, "body", text):
            yield result + b"\n"
