"""The milter protocol as a milter speaks it: what the mail server tells, and the answers, as values (MILTER_README).

protocols/milter.py has the other side, and what both share.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from posthouse.errors import ProtocolError
from posthouse.protocols.milter import Actions, Event, Steps, Verdict, packet, text

VERSIONS = (2, 3, 4, 6)
WANTED_ACTIONS = Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.DELETE_RECIPIENTS | Actions.QUARANTINE
NOT_WANTED = Steps.NO_UNKNOWN
NO_REPLIES = (
    Steps.NO_REPLY_CONNECT | Steps.NO_REPLY_HELO | Steps.NO_REPLY_MAIL | Steps.NO_REPLY_RCPT | Steps.NO_REPLY_DATA
    | Steps.NO_REPLY_HEADER | Steps.NO_REPLY_END_OF_HEADER | Steps.NO_REPLY_BODY | Steps.NO_REPLY_UNKNOWN
)  # fmt: skip
REPLY_STEPS = {
    Event.CONNECT: Steps.NO_REPLY_CONNECT, Event.HELO: Steps.NO_REPLY_HELO, Event.MAIL: Steps.NO_REPLY_MAIL,
    Event.RCPT: Steps.NO_REPLY_RCPT, Event.DATA: Steps.NO_REPLY_DATA, Event.HEADER: Steps.NO_REPLY_HEADER,
    Event.END_OF_HEADER: Steps.NO_REPLY_END_OF_HEADER, Event.BODY: Steps.NO_REPLY_BODY,
    Event.UNKNOWN: Steps.NO_REPLY_UNKNOWN, Event.END_OF_MESSAGE: Steps(0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides can do: the version, what may be changed, and which events go unanswered."""

    version: int
    actions: Actions
    steps: Steps

    @property
    def leading_space(self) -> bool:
        """Whether values of fields have the space after the colon."""
        return bool(self.steps & Steps.LEADING_SPACE)

    def answers(self, event: Event) -> bool:
        """Whether the event has an answer."""
        return not self.steps & REPLY_STEPS[event]

    def packet(self) -> bytes:
        """The answer to the offer."""
        return packet(b"O", struct.pack(">III", self.version, self.actions, self.steps))


def agree(data: bytes) -> Agreed:
    """What is taken of an offer. Raises ProtocolError for one that is none, or too old."""
    if len(data) < 12:
        raise ProtocolError("milter: an offer of less than 12 bytes")
    offered, actions, steps = struct.unpack(">III", data[:12])
    version = max((known for known in VERSIONS if known <= offered), default=0)
    if not version:
        raise ProtocolError(f"milter: version {offered} is not understood")
    wanted = NO_REPLIES | Steps.LEADING_SPACE | NOT_WANTED
    return Agreed(version, WANTED_ACTIONS & Actions(actions & 0x1FF), Steps(wanted & (steps & 0x1FFFFF)))


# -- what the mail server tells


@dataclass(frozen=True, slots=True)
class Macros:
    """Values for the event that follows, by name without braces."""

    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """SMFIC_CONNECT; address "" where there is none."""

    name: str
    address: str
    port: str


@dataclass(frozen=True, slots=True)
class Words:
    """HELO, MAIL FROM, RCPT TO: the words as the client wrote them."""

    event: Event
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A header field."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A piece of the body; the last one comes with is_last."""

    data: bytes
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Plain:
    """An event without words."""

    event: Event


@dataclass(frozen=True, slots=True)
class Abort:
    """The message ends here; the connection goes on."""


@dataclass(frozen=True, slots=True)
class Quit:
    """The connection ends; is_reused: another client's begins on it."""

    is_reused: bool = False


Told = Macros | Client | Words | Field | Body | Plain | Abort | Quit

_WITHOUT_WORDS: dict[bytes, Told] = {
    b"T": Plain(Event.DATA), b"N": Plain(Event.END_OF_HEADER), b"A": Abort(), b"Q": Quit(), b"K": Quit(is_reused=True),
}  # fmt: skip


def read_told(letter: bytes, data: bytes) -> Told:
    """One packet. Raises ProtocolError."""
    match letter:
        case b"D":
            return _macros(data[1:])
        case b"C":
            return _client(data)
        case b"H" | b"M" | b"R" | b"U":
            return Words(Event(letter), tuple(word.decode("utf-8", "surrogateescape") for word in _strings(data)))
        case b"L":
            words = _strings(data)
            if len(words) != 2:
                raise ProtocolError("milter: a field without a value")
            return Field(words[0], words[1])
        case b"B":
            return Body(data)
        case b"E":
            return Body(data, is_last=True)
        case _ if letter in _WITHOUT_WORDS:
            return _WITHOUT_WORDS[letter]
        case _:
            raise ProtocolError(f"milter: unknown command {letter!r}")


def _strings(data: bytes) -> list[bytes]:
    if data[-1:] != b"\0":
        raise ProtocolError("milter: a string without its end")
    return data[:-1].split(b"\0")


def _macros(data: bytes) -> Macros:
    words = [word.decode("utf-8", "surrogateescape") for word in _strings(data)] if data else []
    return Macros({name.strip("{}"): value for name, value in zip(words[::2], words[1::2], strict=False)})


def _client(data: bytes) -> Client:
    name, end, rest = data.partition(b"\0")
    if not end or not rest:
        raise ProtocolError("milter: a client without a family")
    shown = name.decode("utf-8", "surrogateescape")
    if rest[:1] not in (b"4", b"6") or len(rest) < 4:
        return Client(shown, "", "")
    address = rest[3:].rstrip(b"\0").decode("ascii", "replace").removeprefix("IPv6:")
    return Client(shown, address, str(int.from_bytes(rest[1:3], "big")))


# -- what is answered


def answer(verdict: Verdict) -> bytes:
    """A verdict without data."""
    return packet(verdict.value)


def reply_code(reply: str) -> bytes:
    """An SMTP reply of the milter's own: "554 5.7.1 text"; libmilter's callers double each percent sign."""
    return packet(b"y", text(reply.replace("%", "%%")))


def insert_field(index: int, name: str, value: str) -> bytes:
    """A field so that index fields stand before it."""
    return packet(b"i", index.to_bytes(4, "big") + text(name, value))


def add_field(name: str, value: str) -> bytes:
    """A field at the end."""
    return packet(b"h", text(name, value))


def change_field(index: int, name: bytes, value: bytes) -> bytes:
    """The index-th field of that name, from 1; an empty value deletes it."""
    return packet(b"m", index.to_bytes(4, "big") + text(name, value))


def delete_recipient(address: str) -> bytes:
    """A recipient less; the address as in RCPT TO."""
    return packet(b"-", text(address))


def quarantine(reason: str) -> bytes:
    """The mail server shall keep the message on hold."""
    return packet(b"q", text(reason))
