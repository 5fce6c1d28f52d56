"""One milter and its connection: tells it of the steps of a session, and understands its answers (MILTER_README)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from posthouse.errors import ProtocolError
from posthouse.filters.milter_connection import MilterConnection, reason_of
from posthouse.filters.milter_settings import STAGES, MacroLists, MilterRule
from posthouse.maillog import milter as lines
from posthouse.protocols import milter as grammar
from posthouse.protocols.milter import Edit, Event, Negotiated, ReplaceBody, ReplyCode, Response, Steps, Verdict
from posthouse.system.log import DaemonLog

MOST_EDITS = 10_000
MOST_EDIT_BYTES = 16_777_216
_REJECTED = "550 5.7.1 Command rejected"
_TRY_LATER = "451 4.7.1 Service unavailable - try again later"
_UNAVAILABLE = "550 5.5.0 Service unavailable"
_MISCONFIGURED = "451 4.3.5 Server configuration problem - try again later"
_CLOSING = "421 4.7.0 Server closing connection"

# A milter that does not want to hear of these gets their macros all the same.
_MACROS_ALWAYS = frozenset({Event.CONNECT, Event.HELO, Event.MAIL, Event.RCPT, Event.DATA, Event.UNKNOWN})

MacroSource = Callable[[str], str | None]


class Effect(Enum):
    """What a milter wants done."""

    REFUSE = "milter-reject"
    HOLD = "milter-hold"
    DISCARD = "milter-discard"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Ruling:
    """An effect; reply is the SMTP reply of REFUSE and CLOSE, lines apart by CR LF."""

    effect: Effect
    reply: str = ""


HOLDS = Ruling(Effect.HOLD)
DISCARDS = Ruling(Effect.DISCARD)
CLOSES = Ruling(Effect.CLOSE, _CLOSING)
_DEFAULTS: dict[str, Ruling | None] = {
    "accept": None,
    "reject": Ruling(Effect.REFUSE, _UNAVAILABLE),
    "tempfail": Ruling(Effect.REFUSE, _TRY_LATER),
    "quarantine": HOLDS,
    "shutdown": CLOSES,
}


class State(Enum):
    """Where the conversation with the milter is."""

    NEW = "new"
    READY = "ready"
    MESSAGE = "message"
    ACCEPTED_MESSAGE = "accepted message"
    ACCEPTED_CLIENT = "accepted client"
    OVER = "over"  # the standing ruling holds for all that follows


@dataclass(slots=True)
class Edits:
    """What a milter wants changed, in its order; the body is with the one who collects it."""

    changes: list[Edit] = field(default_factory=list)
    replaces_body: bool = False


class Milter:
    """One milter in one session. macros gives values, log takes warnings; both change with who speaks to it."""

    __slots__ = (
        "_connection",
        "_lists",
        "_negotiated",
        "_skipped",
        "_standing",
        "log",
        "macros",
        "rule",
        "state",
    )

    def __init__(self, rule: MilterRule, lists: MacroLists, macros: MacroSource, log: DaemonLog) -> None:
        self.rule, self._lists, self.macros, self.log = rule, lists, macros, log
        self.state = State.NEW
        self._connection = MilterConnection(rule)
        self._negotiated = Negotiated(rule.version, grammar.ALL_ACTIONS, Steps(0))
        self._standing: Ruling | None = None
        self._skipped: Event | None = None

    @property
    def wants_refused_recipients(self) -> bool:
        """Whether it is told of recipients that policy has refused."""
        return bool(self._negotiated.steps & Steps.REJECTED_RECIPIENTS)

    @property
    def gives_leading_space(self) -> bool:
        """Whether values of fields come with the space after the colon, both ways."""
        return bool(self._negotiated.steps & Steps.LEADING_SPACE)

    def macro_names(self, event: Event) -> Sequence[str]:
        """The macros that go with an event: those the milter asked for, else the configured ones."""
        stage = STAGES.get(event)
        if stage is None:
            return self._lists.unknown_command
        wanted = self._negotiated.symbols.get(stage)
        return self._lists.stages[stage] if wanted is None else wanted

    # -- one event

    async def connect(self, name: str, address: str, port: str) -> Ruling | None:
        """Open the connection, agree on the protocol, and tell of the client."""
        if self.rule.problem:
            self.log.warning(self.rule.problem)
            self._stand(Ruling(Effect.REFUSE, _MISCONFIGURED))
            return self._standing
        agreed = await self._connection.open(self.log)
        if agreed is None:
            self._stand(_DEFAULTS[self.rule.default_action])
            return self._standing
        self._negotiated, self.state = agreed, State.READY
        return await self.tell(Event.CONNECT, grammar.connect(name, address, port))

    async def tell(self, event: Event, packet: bytes) -> Ruling | None:
        """Tell of an event, and wait for the answer where there is one. None: go on."""
        if not self._is_heard(event):
            return self._standing
        if event is Event.MAIL:
            self.state = State.MESSAGE
        steps = self._negotiated.steps
        try:
            if steps & grammar.NOT_SENT[event]:
                if event in _MACROS_ALWAYS and self._negotiated.version >= grammar.FIRST_VERSION.get(event, 2):
                    self._send(event, b"")
                return None
            self._send(event, packet)
            if steps & grammar.NOT_ANSWERED[event]:
                return None
            response = await self._response(event)
        except (OSError, ProtocolError, EOFError, TimeoutError) as problem:
            return self._fail(event, problem)
        return self._rule(event, response)

    def _is_heard(self, event: Event) -> bool:
        """Whether the milter follows at this point; the standing ruling holds where it does not."""
        if event is not self._skipped:
            self._skipped = None
        elif self.state is State.MESSAGE:
            return False
        return self.state in (State.READY, State.MESSAGE)

    def _send(self, event: Event, packet: bytes) -> None:
        """An event with its macros; an empty packet: the macros alone."""
        values = []
        for name in self.macro_names(event):
            value = self.macros(name)
            if value is None:
                value = self._lists.default(name)
            if value is not None:
                values.append((name, value))
        self._connection.write(grammar.macros(event, values) + packet)

    def _rule(self, event: Event, response: Response) -> Ruling | None:
        match response:
            case Verdict.CONTINUE:
                return None
            case Verdict.SKIP:
                self._skipped = event
                return None
            case Verdict.ACCEPT:
                early = event in (Event.CONNECT, Event.HELO)
                self.state = State.ACCEPTED_CLIENT if early else State.ACCEPTED_MESSAGE
                return None
            case Verdict.DISCARD:
                return self._discard(event)
            case Verdict.SHUTDOWN:
                self._stand(CLOSES)
                return CLOSES
            case Verdict.REJECT:
                return self._refuse(event, _REJECTED)
            case Verdict.TEMPFAIL:
                return self._refuse(event, _TRY_LATER)
            case ReplyCode(text):
                return self._reply(event, text)
            case _:
                raise AssertionError(response)

    def _discard(self, event: Event) -> Ruling | None:
        if event in (Event.CONNECT, Event.HELO):
            self.log.warning(lines.discard_not_allowed(self.rule.name))
            return None
        self.state = State.ACCEPTED_MESSAGE
        return DISCARDS

    def _reply(self, event: Event, text: str) -> Ruling | None:
        if not grammar.is_smtp_reply(text):
            self.log.warning(lines.malformed_reply(self.rule.name, text))
            self._stand(Ruling(Effect.REFUSE, _MISCONFIGURED))
            return self._standing
        return self._refuse(event, grammar.unescape_percent(text))

    def _refuse(self, event: Event, reply: str) -> Ruling:
        ruling = Ruling(Effect.REFUSE, reply)
        if event in (Event.CONNECT, Event.HELO):
            self._stand(ruling)  # the client, and all that it says
        return ruling

    def _stand(self, ruling: Ruling | None) -> None:
        """The milter hears no more; the ruling holds for what follows."""
        self._standing, self.state = ruling, State.OVER
        self._connection.close()

    def _fail(self, event: Event, problem: Exception) -> Ruling | None:
        """The milter is gone or talks nonsense: milter_default_action."""
        if isinstance(problem, ProtocolError):
            text = str(problem)
        else:
            text = lines.cannot_read(grammar.EVENT_NAMES[event], reason_of(problem))
        self.log.warning(lines.problem(self.rule.name, text))
        self._stand(_DEFAULTS[self.rule.default_action])
        return self._standing

    # -- the content

    async def inspect(
        self, fields: Sequence[bytes], body: Iterator[bytes], keep: Callable[[bytes], None]
    ) -> Ruling | Edits:
        """The whole message: header fields (without the receiver's own on top, LF between a field's lines), the body in
        pieces with CR LF. A new body goes to keep, piece by piece. Edits count only where no Ruling comes.
        """
        ruling = await self._show_header(fields)
        if ruling is None and self._wants_body:
            for piece in _packets_of(body):
                ruling = await self.tell(Event.BODY, piece)
                if ruling is not None or self._skipped is Event.BODY or self.state is not State.MESSAGE:
                    break
                await self._connection.drain(self.rule.content_timeout)
        if ruling is not None:
            return ruling
        return await self._end(keep)

    @property
    def _wants_body(self) -> bool:
        return self.state is State.MESSAGE and not self._negotiated.steps & Steps.NO_BODY

    async def _show_header(self, fields: Sequence[bytes]) -> Ruling | None:
        leading_space = self.gives_leading_space
        for line in fields:
            if not self._is_heard(Event.HEADER):
                break
            name, value = grammar.split_header(line, leading_space=leading_space)
            ruling = await self.tell(Event.HEADER, grammar.header(name, value))
            if ruling is not None:
                return ruling
        return await self.tell(Event.END_OF_HEADER, grammar.packet(Event.END_OF_HEADER.value))

    async def _end(self, keep: Callable[[bytes], None]) -> Ruling | Edits:
        event, edits, volume = Event.END_OF_MESSAGE, Edits(), 0
        if not self._is_heard(event):
            return self._standing or edits
        try:
            self._send(event, grammar.packet(event.value))
            while True:
                response = await self._response(event)
                if isinstance(response, ReplaceBody):
                    edits.replaces_body = True
                    keep(response.data)
                elif isinstance(response, (Verdict, ReplyCode)):
                    return self._rule(event, response) or edits
                else:
                    volume += len(str(response))
                    _bound(edits, volume)
                    edits.changes.append(response)
        except (OSError, ProtocolError, EOFError, TimeoutError) as problem:
            return self._fail(event, problem) or Edits()

    # -- the connection

    async def _response(self, event: Event) -> Response:
        limit = self.rule.command_timeout
        if event in (Event.HEADER, Event.END_OF_HEADER, Event.BODY, Event.END_OF_MESSAGE):
            limit = self.rule.content_timeout
        while True:
            letter, data = await self._connection.next_packet(limit)
            response = grammar.read_response(letter, data, event)
            if response is not Verdict.PROGRESS:
                return response

    def abort(self) -> None:
        """The message is over, one way or the other; the session goes on."""
        if self.state in (State.MESSAGE, State.ACCEPTED_MESSAGE):
            self._connection.write(grammar.packet(b"A"))
            self.state = State.READY
            self._skipped = None

    def disconnect(self, *, abort: bool = True) -> None:
        """The client has gone."""
        if self.state not in (State.NEW, State.OVER):
            self._connection.write((grammar.packet(b"A") if abort else b"") + grammar.packet(b"Q"))
        self._connection.close()
        self.state, self._standing = State.OVER, None


def _bound(edits: Edits, volume: int) -> None:
    if len(edits.changes) >= MOST_EDITS or volume > MOST_EDIT_BYTES:
        raise ProtocolError("too many changes for one message")


def _packets_of(body: Iterator[bytes]) -> Iterator[bytes]:
    """The body as packets; all but the last are as large as the protocol allows."""
    kept = b""
    for piece in body:
        kept = kept + piece if kept else piece
        while len(kept) > grammar.BODY_CHUNK:
            yield grammar.packet(Event.BODY.value, kept[: grammar.BODY_CHUNK])
            kept = kept[grammar.BODY_CHUNK :]
    if kept:
        yield grammar.packet(Event.BODY.value, kept)
