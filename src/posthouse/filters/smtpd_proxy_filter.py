"""The filter that mail passes through before it is accepted: the connection to it (smtpd(8), SMTPD_PROXY_README)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.maillog import smtpd_proxy as lines
from posthouse.protocols.smtp_client import ReplyReader, ServerReply, features, xforward_text
from posthouse.system.log import DaemonLog

_LINE_LIMIT = 512  # an XFORWARD command is no longer
_READ = 65_536


@dataclass(frozen=True, slots=True)
class ProxyRule:
    """smtpd_proxy_filter as a service has it. name is for the log; endpoint is (host, port) or a path; timeout in s."""

    name: str
    endpoint: tuple[str, str] | str
    timeout: int
    ehlo: str
    speed_adjust: bool


def proxy_rule(settings: Settings) -> ProxyRule | None:
    """None where there is no filter. Raises ConfigError."""
    name = settings.text("smtpd_proxy_filter")
    if not name:
        return None
    options = settings.items("smtpd_proxy_options")
    unknown = [option for option in options if option != "speed_adjust"]
    if unknown:
        raise ConfigError(f'unknown smtpd_proxy_options "{unknown[0]}"', parameter="smtpd_proxy_options")
    return ProxyRule(
        name, _endpoint(settings, name), settings.seconds("smtpd_proxy_timeout"), settings.text("smtpd_proxy_ehlo"),
        speed_adjust="speed_adjust" in options,
    )  # fmt: skip


def _endpoint(settings: Settings, name: str) -> tuple[str, str] | str:
    if name.startswith("unix:"):
        return os.path.join(settings.text("queue_directory"), name[5:])
    host, _, port = name.removeprefix("inet:").rpartition(":")
    return host.removeprefix("[").removesuffix("]") or "localhost", port


class ProxyFailure(Exception):
    """The filter cannot be used any more; the log has the reason."""


class ProxyConnection:
    """One message's way through the filter. After a ProxyFailure only close() is of use."""

    __slots__ = ("_log", "_reader", "_replies", "_rule", "_streams", "xforward")

    def __init__(self, rule: ProxyRule, log: DaemonLog) -> None:
        self._rule, self._log = rule, log
        self._reader = ReplyReader()
        self._replies: deque[ServerReply] = deque()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.xforward: frozenset[str] = frozenset()

    async def open(self) -> None:
        """Connect, and exchange greetings. Raises ProxyFailure."""
        rule = self._rule
        try:
            async with asyncio.timeout(rule.timeout):
                if isinstance(rule.endpoint, str):
                    self._streams = await asyncio.open_unix_connection(rule.endpoint)
                else:
                    self._streams = await asyncio.open_connection(*rule.endpoint)
        except (OSError, TimeoutError) as problem:
            number = problem.errno
            reason = os.strerror(number) if number and number > 0 else problem.strerror or "Connection timed out"
            self._log.warning(lines.cannot_connect(rule.name, reason))
            raise ProxyFailure from None
        greeting = await self._reply()
        if greeting.code != 220:
            self._log.warning(lines.rejected(rule.name, "connection request", greeting.lines))
            raise ProxyFailure
        answer = await self.command(f"EHLO {rule.ehlo}", 250)
        if answer.code != 250:
            raise ProxyFailure
        self.xforward = features(answer).xforward

    async def forward(self, origin: Mapping[str, str]) -> None:
        """Tell the filter of the client, as far as it wants to know (XFORWARD_README). Raises ProxyFailure."""
        words = [f"{name}={xforward_text(value)}" for name, value in origin.items() if name in self.xforward]
        while words:
            line = "XFORWARD"
            while words and (line == "XFORWARD" or len(line) + len(words[0]) < _LINE_LIMIT - 2):
                line += f" {words.pop(0)}"
            if (await self.command(line, 250)).code != 250:
                raise ProxyFailure

    async def command(self, line: str, *good: int) -> ServerReply:
        """Say a line; a reply that is not among the good ones is logged. Raises ProxyFailure where none comes."""
        await self._write((line.encode("utf-8", "surrogateescape") + b"\r\n",))
        reply = await self._reply()
        if good and reply.code not in good:
            self._log.warning(lines.rejected(self._rule.name, line, reply.lines))
        return reply

    async def content(self, pieces: Iterable[bytes]) -> ServerReply:
        """The content after DATA (LF line ends), and the dot."""
        await self._write(_stuffed(pieces))
        return await self.command(".")

    async def _write(self, pieces: Iterable[bytes]) -> None:
        if self._streams is None:
            raise ProxyFailure
        writer = self._streams[1]
        try:
            for piece in pieces:
                writer.write(piece)
                async with asyncio.timeout(self._rule.timeout):
                    await writer.drain()
        except (OSError, TimeoutError) as problem:
            raise self._lost(problem) from None

    async def _reply(self) -> ServerReply:
        """The next reply, within the time limit."""
        if self._streams is None:
            raise ProxyFailure
        try:
            async with asyncio.timeout(self._rule.timeout):
                while not self._replies:
                    data = await self._streams[0].read(_READ)
                    if not data:
                        raise self._lost(None)
                    self._replies.extend(self._reader.feed(data))
                    if self._reader.error is not None and not self._replies:
                        self._log.warning(lines.garbage(self._rule.name, str(self._reader.error)))
                        self._drop()
                        raise ProxyFailure
        except (OSError, TimeoutError) as problem:
            raise self._lost(problem) from None
        return self._replies.popleft()

    def _lost(self, problem: Exception | None) -> ProxyFailure:
        name = self._rule.name
        timed_out = isinstance(problem, TimeoutError)
        self._log.warning(lines.timeout(name) if timed_out else lines.lost_connection(name))
        self._drop()
        return ProxyFailure()

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def close(self, *, politely: bool = True) -> None:
        """The message is over; without courtesy when the filter waits for content that will not come."""
        if self._streams is not None and politely:
            with contextlib.suppress(OSError):
                self._streams[1].write(b"QUIT\r\n")
        self._drop()


def _stuffed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Content as DATA sends it: CR LF, leading dots doubled, a line end at the end (RFC 5321, 4.5.2)."""
    begins_line = True
    for piece in pieces:
        if piece:
            dot = b"." if begins_line and piece.startswith(b".") else b""
            begins_line = piece.endswith(b"\n")
            yield dot + piece.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    if not begins_line:
        yield b"\r\n"
