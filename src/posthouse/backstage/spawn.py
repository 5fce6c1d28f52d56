"""Runs a command for each connection to a service of master.cf, as another user (spawn(8)): policy servers."""

from __future__ import annotations

import asyncio
import socket

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.mail.status import Status
from posthouse.services.command_lines import command_arguments, command_identity, exported_environment, wrong_line
from posthouse.services.house import House

_BACKLOG_AT_ONCE = 64


class SpawnService:
    """One line "name unix - n n - - spawn user=... argv=...". Raises ConfigError for wrong arguments."""

    def __init__(self, service: Service, settings: Settings, house: House) -> None:
        self._house, self._log = house, house.log(settings, "spawn")
        user, self._argv = _attributes(service)
        self._identity = command_identity(service, user, settings)
        self._environment = exported_environment(settings)
        self._limit = float(settings.seconds(f"{service.name}_time_limit"))
        self._listening: list[socket.socket] = []
        self._starting: set[asyncio.Task[None]] = set()

    def listen(self, sock: socket.socket) -> None:
        """Serve a listening socket, which is this service's from now on."""
        sock.setblocking(False)
        self._listening.append(sock)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._accept, sock)

    async def run_for(self, connection: socket.socket) -> Status | None:
        """Start the command for one connection, which is closed here; what went wrong, None for nothing."""
        with connection:
            agent = self._house.privileged
            if agent is None:
                return Status("4.3.0", 0, "agent host is not running")
            connection.setblocking(True)
            return await agent.spawn(self._identity, self._argv, self._environment, self._limit, connection.fileno())

    async def close(self) -> None:
        """Listen no more; commands that run go on to their end."""
        loop = asyncio.get_running_loop()
        for sock in self._listening:
            loop.remove_reader(sock.fileno())
            sock.close()
        self._listening.clear()
        await asyncio.gather(*self._starting, return_exceptions=True)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(_BACKLOG_AT_ONCE):
            try:
                connection, _address = sock.accept()
            except OSError:
                return
            task = asyncio.get_running_loop().create_task(self._start(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start(self, connection: socket.socket) -> None:
        status = await self.run_for(connection)
        if status is not None:
            self._log.warning(f"cannot start command {self._argv[0]}: {status.text}")


def _attributes(service: Service) -> tuple[str, tuple[str, ...]]:
    """User and argv of a line."""
    user, words = "", list(service.args)
    for place, word in enumerate(words):
        name, sign, value = word.partition("=")
        if name == "user" and sign:
            user = value
        elif name == "argv" and sign:
            argv = tuple(command_arguments([value, *words[place + 1 :]] if value else words[place + 1 :]))
            if not user:
                raise wrong_line(service, "missing user= command-line attribute")
            if argv:
                return user, argv
            break
        else:
            raise wrong_line(service, f'unknown attribute: "{word}"')
    raise wrong_line(service, "missing argv= command-line attribute")
