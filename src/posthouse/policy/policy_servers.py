"""Asks policy servers over connections that are kept and used again (check_policy_service; SMTPD_POLICY_README)."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError, ProtocolError
from posthouse.policy.words import split_words, without_braces
from posthouse.protocols.policy_delegation import MAX_REPLY, parse_reply, write_attributes
from posthouse.system.log import DaemonLog

_HUNG_UP = "Application error"  # what Postfix calls a connection that ended
_MAX_IDLE_CONNECTIONS = 100
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """smtpd_policy_service_* as they apply to one server. Times are in seconds; request_limit 0 is without limit."""

    timeout: float
    max_idle: float
    max_ttl: float
    retry_delay: float
    try_limit: int
    request_limit: int
    default_action: str
    policy_context: str


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened: float
    used: float
    requests: int = 0


class PolicyServer:
    """One server. endpoint is "host:port", or the path of a socket; written, what main.cf calls the server."""

    def __init__(self, address: tuple[str, str], options: ServerOptions, directory: str, log: DaemonLog) -> None:
        self._kind, self.endpoint = address
        self.written = self.endpoint
        self.options = options
        self._directory, self._log = directory, log
        self._idle: list[_Connection] = []

    def named(self, written: str) -> PolicyServer:
        """The same, under the name in main.cf."""
        self.written = written
        return self

    async def ask(self, attributes: Iterable[tuple[str, str]]) -> str | None:
        """The server's action; None after try_limit failures, which are in the log."""
        request = write_attributes(attributes)
        for attempt in range(1, self.options.try_limit + 1):
            problem = await self._try(request)
            if isinstance(problem, str):
                return problem
            last = attempt >= self.options.try_limit
            if last or attempt > 1:
                reason = os.strerror(problem.errno) if problem.errno else str(problem)
                self._log.warning(f"problem talking to server {self.endpoint}: {reason}")
            if not last:
                await asyncio.sleep(self.options.retry_delay)
        return None

    async def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _try(self, request: bytes) -> str | OSError:
        """Over a kept connection if there is one; a kept one that turns out to be dead is not counted as a failure."""
        while (connection := self._take_idle()) is not None:
            try:
                return await self._exchange(connection, request)
            except (OSError, EOFError, ProtocolError):
                connection.writer.close()
        try:
            connection = await self._connect()
        except OSError as problem:
            reason = os.strerror(problem.errno) if problem.errno else str(problem)
            self._log.warning(f"connect to {self.endpoint}: {reason}")
            return problem
        try:
            return await self._exchange(connection, request)
        except TimeoutError:
            failure = OSError(errno.ETIMEDOUT, "")
        except OSError as failed:
            failure = failed
        except EOFError:
            failure = OSError(_HUNG_UP)
        except ProtocolError as failed:
            self._log.warning(f"{failed} from {self.endpoint}")
            failure = OSError(_HUNG_UP)
        connection.writer.close()
        return failure

    def _take_idle(self) -> _Connection | None:
        now, options = time.monotonic(), self.options
        while self._idle:
            connection = self._idle.pop()
            fresh = now - connection.used < options.max_idle and now - connection.opened < options.max_ttl
            if fresh and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(self.options.timeout):
            if self._kind == "unix":
                path = os.path.join(self._directory, self.endpoint)
                reader, writer = await asyncio.open_unix_connection(path, limit=MAX_REPLY)
            else:
                host, _, port = self.endpoint.rpartition(":")
                reader, writer = await asyncio.open_connection(host.strip("[]") or "127.0.0.1", port, limit=MAX_REPLY)
        now = time.monotonic()
        return _Connection(reader, writer, now, now)

    async def _exchange(self, connection: _Connection, request: bytes) -> str:
        """Raises OSError (TimeoutError is one), EOFError or ProtocolError."""
        async with asyncio.timeout(self.options.timeout):
            connection.writer.write(request)
            try:
                reply = await connection.reader.readuntil(b"\n\n")
            except asyncio.LimitOverrunError as problem:
                raise ProtocolError("too long an answer") from problem
        action = parse_reply(reply)
        connection.requests += 1
        connection.used = time.monotonic()
        limit = self.options.request_limit
        if len(self._idle) < _MAX_IDLE_CONNECTIONS and not (limit and connection.requests >= limit):
            self._idle.append(connection)
        else:
            connection.writer.close()
        return action


class PolicyServers:
    """All policy servers that one view of the settings names."""

    def __init__(self, settings: Settings, log: DaemonLog) -> None:
        self._settings, self._log = settings, log
        self._servers: dict[str, PolicyServer] = {}

    def server(self, text: str) -> PolicyServer:
        """Text is "inet:host:port", "unix:path", or one of them with ", name=value" after it. Raises ConfigError."""
        server = self._servers.get(text)
        if server is None:
            server = self._servers[text] = self._make(text)
        return server

    def _make(self, text: str) -> PolicyServer:
        words = split_words(without_braces(text))
        kind, _, endpoint = words[0].partition(":")
        if kind not in ("inet", "unix"):
            kind, endpoint = "inet", words[0]
        own = dict(_attribute(word) for word in _join_assignments(words[1:]))
        directory = self._settings.text("queue_directory")
        return PolicyServer((kind, endpoint), self._options(own), directory, self._log).named(text)

    def _options(self, own: dict[str, str]) -> ServerOptions:
        settings, prefix = self._settings, "smtpd_policy_service_"

        def seconds(name: str) -> float:
            return _seconds(own.pop(name)) if name in own else settings.seconds(prefix + name)

        def number(name: str) -> int:
            return _number(own.pop(name)) if name in own else settings.integer(prefix + name)

        def text(name: str) -> str:
            return own.pop(name) if name in own else settings.text(prefix + name)

        options = ServerOptions(
            seconds("timeout"),
            seconds("max_idle"),
            seconds("max_ttl"),
            seconds("retry_delay"),
            max(number("try_limit"), 1),
            number("request_limit"),
            text("default_action"),
            text("policy_context"),
        )
        if own:
            raise ConfigError(f"check_policy_service: unknown attribute {min(own)}")
        return options

    async def close(self) -> None:
        """Close all idle connections."""
        for server in self._servers.values():
            await server.close()


def _join_assignments(words: list[str]) -> list[str]:
    """Put "name = value" together; a word in braces is one assignment already."""
    joined: list[str] = []
    for word in words:
        bare = word[1:-1].strip() if word.startswith("{") else word
        if joined and (bare == "=" or bare.startswith("=") or joined[-1].endswith("=")):
            joined[-1] += bare
        else:
            joined.append(bare)
    return joined


def _attribute(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise ConfigError(f"check_policy_service: expected name=value, not {assignment}")
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    unit = _UNITS.get(text[-1:], 0)
    digits = text[:-1] if unit else text
    return float(_number(digits) * (unit or 1))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"check_policy_service: bad number {text}")
    return int(text)
