"""tcp: tables: a server that answers "get key" lines (tcp_table(5)); keys go out as they are, %XX-quoted."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from posthouse.errors import LookupFailed
from posthouse.lookup.socket_stream import Broken, ServerTable, parse_endpoint
from posthouse.lookup.table import Options

LINE_LIMIT = 4096  # bytes of a request or an answer, with its line end
_QUOTED = re.compile(rb"[^!-$&-~]")


class TcpDialogue:
    """get <key> LF; <code> <text> LF."""

    def __init__(self, spec: str) -> None:
        self._spec = spec

    def request(self, key: str) -> bytes:
        raw = key.encode("utf-8", "surrogateescape")
        line = b"get " + _QUOTED.sub(lambda found: b"%%%02X" % found[0][0], raw) + b"\n"
        if len(line) > LINE_LIMIT:
            raise LookupFailed(self._spec, "the key is too long for the server's protocol")
        return line

    def end_of_answer(self, received: bytes) -> int:
        end = received.find(b"\n") + 1
        if not end and len(received) > LINE_LIMIT:
            raise Broken("the answer is too long")
        return end or -1

    def value(self, answer: bytes) -> str | None:
        code, _, text = answer.rstrip(b"\r\n").partition(b" ")
        plain = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
        match code:
            case b"200":
                return plain
            case b"500":
                return None
            case b"400":
                raise LookupFailed(self._spec, plain or "temporary error")
        raise Broken(f"bad status code: {answer[:60].decode('ascii', 'replace').rstrip()}")


def open_table(name: str, options: Options) -> ServerTable:
    """The server at host:port."""
    return ServerTable(parse_endpoint(name), TcpDialogue(options.spec), options, f"TCP map {name}")
