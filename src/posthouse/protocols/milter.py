"""The milter protocol, versions 2, 3, 4 and 6, as the mail server speaks it: packets as values (MILTER_README)."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntFlag

from posthouse.errors import ProtocolError

PACKET_LIMIT = 16_777_216  # bytes; a longer reply is taken for garbage
WORD_LIMIT = 1_073_741_823  # what Postfix calls unreasonable
BODY_CHUNK = 65_535  # bytes of body in one packet
_NUMBER = struct.Struct(">I")
_REPLY = re.compile(rb"[45][0-9]{2}(?:[ -]|\Z)")
_REPLY_DSN = re.compile(rb"[0-9]{3}[ -]([0-9])\.[0-9]{1,3}\.[0-9]{1,3}(?:[ \t]|\Z)")


class Event(Enum):
    """What the server tells of; the value is the packet's letter."""

    CONNECT = b"C"
    HELO = b"H"
    MAIL = b"M"
    RCPT = b"R"
    DATA = b"T"
    HEADER = b"L"
    END_OF_HEADER = b"N"
    BODY = b"B"
    END_OF_MESSAGE = b"E"
    UNKNOWN = b"U"


EVENT_NAMES = {
    Event.CONNECT: "SMFIC_CONNECT",
    Event.HELO: "SMFIC_HELO",
    Event.MAIL: "SMFIC_MAIL",
    Event.RCPT: "SMFIC_RCPT",
    Event.DATA: "SMFIC_DATA",
    Event.HEADER: "SMFIC_HEADER",
    Event.END_OF_HEADER: "SMFIC_EOH",
    Event.BODY: "SMFIC_BODY",
    Event.END_OF_MESSAGE: "SMFIC_BODYEOB",
    Event.UNKNOWN: "SMFIC_UNKNOWN",
}
REPLY_NAMES = {
    b"+": "SMFIR_ADDRCPT",
    b"-": "SMFIR_DELRCPT",
    b"2": "SMFIR_ADDRCPT_PAR",
    b"4": "SMFIR_SHUTDOWN",
    b"a": "SMFIR_ACCEPT",
    b"b": "SMFIR_REPLBODY",
    b"c": "SMFIR_CONTINUE",
    b"d": "SMFIR_DISCARD",
    b"e": "SMFIR_CHGFROM",
    b"f": "SMFIR_CONN_FAIL",
    b"h": "SMFIR_ADDHEADER",
    b"i": "SMFIR_INSHEADER",
    b"m": "SMFIR_CHGHEADER",
    b"p": "SMFIR_PROGRESS",
    b"q": "SMFIR_QUARANTINE",
    b"r": "SMFIR_REJECT",
    b"s": "SMFIR_SKIP",
    b"t": "SMFIR_TEMPFAIL",
    b"y": "SMFIR_REPLYCODE",
}


class Actions(IntFlag):
    """What a milter may change (SMFIF_*)."""

    ADD_HEADERS = 0x1
    CHANGE_BODY = 0x2
    ADD_RECIPIENTS = 0x4
    DELETE_RECIPIENTS = 0x8
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    CHANGE_FROM = 0x40
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80
    SYMBOL_LISTS = 0x100


ALL_ACTIONS = Actions(0x1FF)


class Steps(IntFlag):
    """What a milter does not want to be sent, or does not answer (SMFIP_*)."""

    NO_CONNECT = 0x1
    NO_HELO = 0x2
    NO_MAIL = 0x4
    NO_RCPT = 0x8
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADER = 0x40
    NO_REPLY_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    MAY_SKIP = 0x400
    REJECTED_RECIPIENTS = 0x800
    NO_REPLY_CONNECT = 0x1000
    NO_REPLY_HELO = 0x2000
    NO_REPLY_MAIL = 0x4000
    NO_REPLY_RCPT = 0x8000
    NO_REPLY_DATA = 0x10000
    NO_REPLY_UNKNOWN = 0x20000
    NO_REPLY_END_OF_HEADER = 0x40000
    NO_REPLY_BODY = 0x80000
    LEADING_SPACE = 0x100000


OFFERED = {2: Steps(0x7F), 3: Steps(0x17F), 4: Steps(0x37F), 6: Steps(0x1FFFFF)}  # by protocol version
NOT_SENT = {
    Event.CONNECT: Steps.NO_CONNECT,
    Event.HELO: Steps.NO_HELO,
    Event.MAIL: Steps.NO_MAIL,
    Event.RCPT: Steps.NO_RCPT,
    Event.DATA: Steps.NO_DATA,
    Event.HEADER: Steps.NO_HEADERS,
    Event.END_OF_HEADER: Steps.NO_END_OF_HEADER,
    Event.BODY: Steps.NO_BODY,
    Event.UNKNOWN: Steps.NO_UNKNOWN,
    Event.END_OF_MESSAGE: Steps(0),
}
FIRST_VERSION = {Event.UNKNOWN: 3, Event.DATA: 4}  # the protocol that brought an event
NOT_ANSWERED = {
    Event.CONNECT: Steps.NO_REPLY_CONNECT,
    Event.HELO: Steps.NO_REPLY_HELO,
    Event.MAIL: Steps.NO_REPLY_MAIL,
    Event.RCPT: Steps.NO_REPLY_RCPT,
    Event.DATA: Steps.NO_REPLY_DATA,
    Event.HEADER: Steps.NO_REPLY_HEADER,
    Event.END_OF_HEADER: Steps.NO_REPLY_END_OF_HEADER,
    Event.BODY: Steps.NO_REPLY_BODY,
    Event.UNKNOWN: Steps.NO_REPLY_UNKNOWN,
    Event.END_OF_MESSAGE: Steps(0),
}
EXTENSIONS = {"no_header_reply": Steps.NO_REPLY_HEADER}  # words after the version in milter_protocol


class MacroStage(Enum):
    """The stages for which a milter may name its macros; the value is the number in the negotiation."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END_OF_MESSAGE = 5
    END_OF_HEADER = 6


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What a milter answered to the offer. symbols are the macros it wants instead of the configured ones."""

    version: int
    actions: Actions
    steps: Steps
    symbols: Mapping[MacroStage, tuple[str, ...]] = field(default_factory=dict)


# -- what a milter answers


class Verdict(Enum):
    """An answer without data."""

    CONTINUE = b"c"
    ACCEPT = b"a"
    REJECT = b"r"
    TEMPFAIL = b"t"
    DISCARD = b"d"
    SKIP = b"s"
    SHUTDOWN = b"4"
    PROGRESS = b"p"
    CONNECTION_FAILURE = b"f"


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """An SMTP reply of the milter's own: "550 5.7.1 text", lines apart by CR LF."""

    text: str


@dataclass(frozen=True, slots=True)
class AddHeader:
    """A field at the end of the header."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """A field so that index fields (the receiver's own among them) stand before it."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """The index-th field of that name (from 1, without the receiver's own); an empty value deletes it."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """A part of the new body; the parts of one answer belong together."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """One more recipient, with the parameters of RCPT TO."""

    address: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    """A recipient less."""

    address: str


@dataclass(frozen=True, slots=True)
class ChangeFrom:
    """Another envelope sender, with the parameters of MAIL FROM."""

    address: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The message goes on hold."""

    reason: str


Edit = AddHeader | InsertHeader | ChangeHeader | ReplaceBody | AddRecipient | DeleteRecipient | ChangeFrom | Quarantine
Response = Verdict | ReplyCode | Edit


# -- packets to a milter


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """Length, letter, data."""
    return _NUMBER.pack(len(data) + 1) + letter + data


def text(*words: str | bytes) -> bytes:
    """Words, each with its NUL; a NUL inside one ends it."""
    encoded = (word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words)
    return b"".join(word.partition(b"\0")[0] + b"\0" for word in encoded)


def offer(version: int) -> bytes:
    """The negotiation's first packet."""
    return packet(b"O", struct.pack(">III", version, ALL_ACTIONS, OFFERED[version]))


def macros(event: Event, values: Sequence[tuple[str, str]]) -> bytes:
    """The macros for the event that follows; sent without any, too."""
    return packet(b"D", event.value + b"".join(text(name, value) for name, value in values))


def connect(name: str, address: str, port: str) -> bytes:
    """Who the client is; a name that is not known is the address in brackets."""
    if ":" in address:
        family, shown = b"6", f"IPv6:{address}"
    elif address[:1].isdigit():
        family, shown = b"4", address
    else:
        return packet(b"C", text(name) + b"U")
    number = int(port) if port.isascii() and port.isdigit() else 0
    return packet(b"C", text(name) + family + struct.pack(">H", number & 0xFFFF) + text(shown))


def header(name: bytes, value: bytes) -> bytes:
    """A field of the message."""
    return packet(b"L", text(name, value))


def split_header(line: bytes, *, leading_space: bool) -> tuple[bytes, bytes]:
    """Name and value of a field as a milter sees them: without the space after the colon, unless it asked for it."""
    name, _, value = line.partition(b":")
    if not leading_space and value[:1] in (b" ", b"\t"):
        value = value[1:]
    return name.rstrip(b" \t"), value


# -- packets from a milter


class PacketReader:
    """Cuts a stream of bytes into packets. feed() gives those that are complete; raises ProtocolError for lengths that
    cannot be.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """(letter, data) of each packet that is complete now."""
        self._buffer += data
        packets: list[tuple[bytes, bytes]] = []
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if not 1 <= length <= PACKET_LIMIT:
                limit = WORD_LIMIT if length > WORD_LIMIT else PACKET_LIMIT
                raise ProtocolError(f"unreasonable packet length: {length} > {limit}")
            if len(self._buffer) < 4 + length:
                break
            packets.append((bytes(self._buffer[4:5]), bytes(self._buffer[5 : 4 + length])))
            del self._buffer[: 4 + length]
        return packets


def read_negotiation(letter: bytes, data: bytes, version: int) -> Negotiated:
    """The answer to offer(version). Raises ProtocolError."""
    if letter != b"O":
        raise ProtocolError(f'unexpected reply "{letter.decode("latin-1")}" in initial handshake')
    if len(data) < 12:
        raise ProtocolError("input packet too short for network long")
    answered, actions, steps = struct.unpack(">III", data[:12])
    if answered > version:
        raise ProtocolError(f"protocol version {answered} conflict with MTA protocol version {version}")
    known = max((number for number in OFFERED if number <= answered), default=2)
    # What an older version has no word for is not sent either: newer events would be garbage to that milter.
    too_new = Steps(0x300) & ~OFFERED[known]
    wanted = Steps(steps & OFFERED[known]) | too_new
    return Negotiated(answered, Actions(actions & ALL_ACTIONS), wanted, _symbols(data[12:]))


def _symbols(data: bytes) -> dict[MacroStage, tuple[str, ...]]:
    found: dict[MacroStage, tuple[str, ...]] = {}
    stages = {stage.value: stage for stage in MacroStage}
    while len(data) > 4:
        names, end, rest = data[4:].partition(b"\0")
        if not end:
            raise ProtocolError("missing string null termimator")
        stage = stages.get(int.from_bytes(data[:4], "big"))
        if stage is not None:
            found[stage] = tuple(names.decode("utf-8", "replace").replace(",", " ").split())
        data = rest
    return found


def read_response(letter: bytes, data: bytes, event: Event) -> Response:
    """What the milter says to the event. Raises ProtocolError with the words for the log."""
    verdict = _VERDICTS.get(letter)
    if verdict is not None and verdict is not Verdict.CONNECTION_FAILURE:
        if data:
            raise ProtocolError(f"reply {REPLY_NAMES[letter]} was followed by {len(data)} data bytes")
        return verdict
    if letter == b"y":
        return ReplyCode(_one_string(data))
    if event is Event.END_OF_MESSAGE and letter in _EDITS:
        return _edit(letter, data)
    shown = REPLY_NAMES.get(letter, "(unknown filter reply)")
    raise ProtocolError(f"unexpected filter response {shown} after event {EVENT_NAMES[event]}")


_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_EDITS = frozenset((b"h", b"i", b"m", b"b", b"+", b"2", b"-", b"e", b"q"))


def _edit(letter: bytes, data: bytes) -> Edit:
    index = 0
    if letter == b"b":
        return ReplaceBody(data)
    if letter in (b"i", b"m"):
        if len(data) < 4:
            raise ProtocolError("input packet too short for network long")
        index, data = int.from_bytes(data[:4], "big"), data[4:]
    if letter in (b"h", b"i", b"m"):
        name, value = _two_strings(data)
        if letter == b"h":
            return AddHeader(name, value)
        return InsertHeader(index, name, value) if letter == b"i" else ChangeHeader(index, name, value)
    words = [word.decode("utf-8", "surrogateescape") for word in _strings(data)]
    rest = words[1] if len(words) > 1 else ""
    if letter in (b"+", b"2"):
        return AddRecipient(words[0], rest if letter == b"2" else "")
    if letter == b"e":
        return ChangeFrom(words[0], rest)
    return DeleteRecipient(words[0]) if letter == b"-" else Quarantine(words[0])


def _strings(data: bytes) -> list[bytes]:
    if not data:
        raise ProtocolError("packet too short for string")
    if data[-1:] != b"\0":
        raise ProtocolError("missing string null termimator")
    return data[:-1].split(b"\0")


def _two_strings(data: bytes) -> tuple[bytes, bytes]:
    words = _strings(data)
    if len(words) < 2:
        raise ProtocolError("packet too short for string")
    return words[0], words[1]


def _one_string(data: bytes) -> str:
    return _strings(data)[0].decode("utf-8", "surrogateescape")


def is_smtp_reply(reply: str) -> bool:
    """Whether a milter's reply is one that SMTP knows: 4xx or 5xx, with an enhanced code (if any) of the same class."""
    for line in reply.encode("utf-8", "surrogateescape").split(b"\r\n"):
        if not _REPLY.match(line):
            return False
        dsn = _REPLY_DSN.match(line)
        if dsn is not None and dsn[1] != line[:1]:
            return False
    return True


def unescape_percent(reply: str) -> str:
    """Libmilter's callers double each percent sign; single ones vanish."""
    return "%".join(part.replace("%", "") for part in reply.split("%%"))
