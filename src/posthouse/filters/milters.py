"""The milters of one SMTP session, in their order: what the first objects to, the others need not judge (smtpd(8))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from posthouse.config.settings import Settings
from posthouse.filters.milter import MacroSource, Milter, Ruling
from posthouse.filters.milter_settings import MacroLists, MilterRule, macro_lists, milters_from
from posthouse.protocols import milter as grammar
from posthouse.protocols.milter import Event
from posthouse.system.log import DaemonLog


class Milters:
    """Tells each milter; the first ruling counts. Closed by disconnect()."""

    __slots__ = ("milters",)

    def __init__(self, rules: Sequence[MilterRule], lists: MacroLists, macros: MacroSource, log: DaemonLog) -> None:
        self.milters = tuple(Milter(rule, lists, macros, log) for rule in rules)

    def __iter__(self) -> Iterator[Milter]:
        return iter(self.milters)

    def speak_for(self, macros: MacroSource | None, log: DaemonLog) -> None:
        """Another stage speaks to the milters now; macros None leaves the values as they are."""
        for milter in self.milters:
            milter.log = log
            if macros is not None:
                milter.macros = macros

    @property
    def wants_refused_recipients(self) -> bool:
        """Whether any of them is told of recipients that policy has refused."""
        return any(milter.wants_refused_recipients for milter in self.milters)

    def uses_macro(self, event: Event, *names: str) -> bool:
        """Whether any milter gets one of these macros with the event."""
        return any(name in milter.macro_names(event) for milter in self.milters for name in names)

    async def connect(self, name: str, address: str, port: str) -> Ruling | None:
        """A client has come; name is "" where it is not known."""
        for milter in self.milters:
            ruling = await milter.connect(name or f"[{address}]", address, port)
            if ruling is not None:
                return ruling
        return None

    async def helo(self, name: str) -> Ruling | None:
        """HELO or EHLO."""
        return await self._tell(Event.HELO, grammar.text(name))

    async def mail(self, words: Sequence[str]) -> Ruling | None:
        """MAIL FROM: the address and the parameters, as the client wrote them."""
        return await self._tell(Event.MAIL, grammar.text(*words))

    async def rcpt(self, words: Sequence[str]) -> Ruling | None:
        """RCPT TO, as mail()."""
        return await self._tell(Event.RCPT, grammar.text(*words))

    async def refused_rcpt(self, words: Sequence[str]) -> None:
        """A recipient that policy has refused, for those that want to know."""
        packet = grammar.packet(Event.RCPT.value, grammar.text(*words))
        for milter in self.milters:
            if milter.wants_refused_recipients:
                await milter.tell(Event.RCPT, packet)

    async def data(self) -> Ruling | None:
        """The content comes next."""
        return await self._tell(Event.DATA, b"")

    async def unknown(self, command: str) -> Ruling | None:
        """A command that the server does not know."""
        return await self._tell(Event.UNKNOWN, grammar.text(command))

    async def _tell(self, event: Event, data: bytes) -> Ruling | None:
        packet = grammar.packet(event.value, data)
        for milter in self.milters:
            ruling = await milter.tell(event, packet)
            if ruling is not None:
                return ruling
        return None

    def abort(self) -> None:
        """The transaction is over."""
        for milter in self.milters:
            milter.abort()

    def disconnect(self, *, abort: bool = True) -> None:
        """The session is over."""
        for milter in self.milters:
            milter.disconnect(abort=abort)


class MilterPlan:
    """The milters of one service, read once; smtpd_milter_maps may name others for a client."""

    __slots__ = ("_settings", "lists", "rules")

    def __init__(self, settings: Settings, parameter: str) -> None:
        self._settings = settings
        self.lists = macro_lists(settings)
        self.rules = milters_from(settings, settings.text(parameter))

    def rules_of(self, text: str) -> tuple[MilterRule, ...]:
        """The milters of a list in smtpd_milters' syntax."""
        return milters_from(self._settings, text)


def plan_of(settings: Settings, parameter: str, *more: str) -> MilterPlan | None:
    """The plan of a service; None where none of the parameters says anything. Raises ConfigError for macro lists."""
    if not any(settings.text(name) for name in (parameter, *more)):
        return None
    return MilterPlan(settings, parameter)
