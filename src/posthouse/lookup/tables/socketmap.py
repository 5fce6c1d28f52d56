"""socketmap: tables: "socketmap:inet:host:port:name" or "socketmap:unix:path:name" (socketmap_table(5)), netstrings."""

from __future__ import annotations

from posthouse.errors import LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.socket_stream import ANSWER_LIMIT, Broken, ServerTable, parse_endpoint
from posthouse.lookup.table import BadTable, Options


class SocketmapDialogue:
    """The request "name SP key" and the answer "STATUS SP text", each in a netstring."""

    def __init__(self, name: str, spec: str) -> None:
        self._name, self._spec = name, spec

    def request(self, key: str) -> bytes:
        text = f"{self._name} {key}".encode("utf-8", "surrogateescape")
        return b"%d:%s," % (len(text), text)

    def end_of_answer(self, received: bytes) -> int:
        digits, colon, _ = received.partition(b":")
        if not colon:
            if len(digits) > 6 or (digits and not digits.isdigit()):
                raise Broken("netstring format error")
            return -1
        if not digits.isdigit() or len(digits) > 6 or int(digits) > ANSWER_LIMIT:
            raise Broken("netstring format error")
        end = len(digits) + 1 + int(digits) + 1
        if len(received) < end:
            return -1
        if received[end - 1 : end] != b",":
            raise Broken("netstring format error")
        return end

    def value(self, answer: bytes) -> str | None:
        text = answer[answer.index(b":") + 1 : -1].decode("utf-8", "surrogateescape")
        status, _, rest = text.partition(" ")
        match status:
            case "OK":
                return rest
            case "NOTFOUND":
                return None
            case "TEMP" | "TIMEOUT" | "PERM":
                kind = {"TEMP": "temporary", "TIMEOUT": "timeout", "PERM": "permanent"}[status]
                notices.warn(f"{self._spec} socketmap server {kind} error: {rest}")
            case _:
                notices.warn(f"{self._spec} socketmap server unknown error")
        raise LookupFailed(self._spec, rest)


def open_table(name: str, options: Options) -> ServerTable:
    """The server, and the map it is asked about."""
    place, colon, inner = name.rpartition(":")
    if not colon or not inner or not place.startswith(("inet:", "unix:")):
        raise BadTable("socketmap requires server:socketmap argument")
    endpoint = parse_endpoint(place)
    return ServerTable(endpoint, SocketmapDialogue(inner, options.spec), options, place.partition(":")[2])
