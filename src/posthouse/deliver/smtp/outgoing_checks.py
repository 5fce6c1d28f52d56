"""smtp_header_checks, smtp_body_checks and their kin: lines changed or left out as mail leaves (header_checks(5)).

Nothing can be refused here any more: the actions that would decide about the whole message are warned of and not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from posthouse.config.settings import Settings
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.headers import divide, is_field, name_of
from posthouse.mail.mime_lines import MIME_FIELDS, Kind, MimeRules, MimeWalk
from posthouse.maillog import smtp as maillog
from posthouse.system.log import DaemonLog


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
        self._mime = MimeRules(
            settings.integer("mime_nesting_limit"),
            settings.integer("mime_boundary_length_limit"),
            settings.integer("body_checks_size_limit"),
            forgives_nesting=True,
        )

    def header(self, queue_id: str, header: bytes) -> bytes:
        """The header after smtp_header_checks."""
        if self.maps[self.header_name].empty and self.maps[self.mime_name].empty:
            return header
        divided = divide(header)
        kept = [
            result
            for text in divided.fields
            for result in self.check(
                queue_id, self.mime_name if name_of(text) in MIME_FIELDS else self.header_name, "header", text
            )
        ]
        return b"".join(text + b"\n" for text in kept) + divided.rest

    def body(self, queue_id: str, header: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of the body that remain; header is the message's as it came."""
        names = {Kind.MIME_FIELD: self.mime_name, Kind.NESTED_FIELD: self.nested_name}
        for kind, piece in MimeWalk(self._mime).pieces(divide(header).fields, lines):
            if kind in names:
                for result in self.check(queue_id, names[kind], "header", piece):
                    yield result + b"\n"
            elif kind is Kind.PASSED or piece == b"\n":
                yield piece
            else:
                for result in self.check(queue_id, self.body_name, "body", piece.removesuffix(b"\n")):
                    yield result + b"\n"

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
                self._log.warning(f"unsupported command in {name} map: {value}")
        return (text,)

    def _note(self, queue_id: str, action: str, kind: str, text: bytes, argument: str) -> None:
        content = f"{kind} {text.decode('utf-8', 'replace')}"
        self._log.info(maillog.checked(queue_id, action, content, argument))
