"""How the stages of a worker are put together: each gets its settings and the joints to the others, in one place."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from posthouse.backstage import policy_services
from posthouse.backstage.anvil import Anvil
from posthouse.backstage.anvil_table import Seat
from posthouse.backstage.scan_milter import ScanMilter
from posthouse.backstage.spawn import SpawnService
from posthouse.backstage.verify import AddressVerifier
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.agent_host.client import AgentClient
from posthouse.lookup import notices
from posthouse.master import scanning
from posthouse.master.intake import HouseIntake
from posthouse.master.setup import PICKUP_SOCKET, Setup
from posthouse.master.shares import Shares
from posthouse.master.sockets import Endpoint
from posthouse.queue.control import QueueControl
from posthouse.receive.pickup import Pickup
from posthouse.receive.smtpd.service import SmtpdService
from posthouse.services.delivery import DeliveryAgent
from posthouse.services.house import House
from posthouse.system.log_sinks import Sink

LAST_SESSIONS_S = 3600.0


class Wiring:
    """Everything that one worker runs."""

    def __init__(
        self, setup: Setup, sink: Sink, slot: int, agents: socket.socket | None, seat: Seat | None = None
    ) -> None:
        self._setup, self._slot, self._agents_socket, self._seat = setup, slot, agents, seat
        self._anvil: Anvil | None = None
        self._client: AgentClient | None = None
        self.house = House(setup.settings, setup.services, sink)
        self._agents: dict[str, DeliveryAgent] = {}
        self._smtpds: dict[tuple[str, str], SmtpdService] = {}
        self._servers: list[asyncio.Server] = []
        self._spawns: list[SpawnService] = []
        self._milters: dict[tuple[str, str], ScanMilter] = {}
        self._verifier: AddressVerifier | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._shares: Shares | None = None
        self._pickup: Pickup | None = None
        self._control: QueueControl | None = None

    @property
    def shares(self) -> Shares:
        if self._shares is None:
            raise RuntimeError("the queue is not open")
        return self._shares

    async def open(self) -> None:
        """Build the house and begin to receive."""
        if self._agents_socket is not None:
            self.reach_agents(self._agents_socket)
        notices.report_to(self._tell_of_table)
        self._fill_in_joints()
        self._open_queue()
        await self._serve_inet()
        await self._serve_commands()

    def _tell_of_table(self, severity: notices.Severity, text: str) -> None:
        """Lines of a table that are no good, files that are not there: told as by smtpd, which asks most of them."""
        log = self.house.log(self.house.settings, "smtpd")
        (log.error if severity == "error" else log.warning)(text)

    def own_queue(self) -> None:
        """Deliver stored mail, too, and take up what sendmail leaves."""
        if not self._tasks:
            self._tasks.append(asyncio.get_running_loop().create_task(self.shares.keep_adopting()))
        self.shares.adopt()
        if self._slot == 0:
            self._start_pickup()

    async def release(self) -> None:
        """Stop listening and give the stored mail to the next generation; sessions go on."""
        await self._stop_listening()
        await self.shares.release()
        await self._serve_commands()

    async def sessions_ended(self) -> None:
        """Until the last SMTP session has come to its end, at most for an hour."""
        ends = [smtpd.close(LAST_SESSIONS_S) for smtpd in self._smtpds.values()]
        await asyncio.gather(*ends, *(milter.close(LAST_SESSIONS_S) for milter in self._milters.values()))

    async def close(self, grace: float) -> None:
        """End sessions and deliveries within grace (s), and close the stores."""
        await self._stop_listening()
        await asyncio.gather(*(smtpd.close(grace / 2) for smtpd in self._smtpds.values()))
        await asyncio.gather(*(milter.close(grace / 2) for milter in self._milters.values()))
        await self.shares.close(grace)
        if self._verifier is not None:
            await self._verifier.close()
        await asyncio.gather(*(agent.close() for agent in self._agents.values()))
        if self._client is not None:
            self._client.close()
        if self._anvil is not None:
            self._anvil.report()

    def reach_agents(self, sock: socket.socket) -> None:
        """The agent host is there (again); sock is our end of a socket to it."""
        if self._client is None:
            self._client = AgentClient(asyncio.get_running_loop(), sock)
            self.house.privileged = self._client
        else:
            self._client.reconnect(sock)

    # Joints

    def _fill_in_joints(self) -> None:
        from posthouse.bounce.notices import BounceService
        from posthouse.cleanup.service import CleanupService
        from posthouse.rewrite.trivial_rewrite import TrivialRewrite
        from posthouse.system.dns import Resolver

        house = self.house
        house.dns = Resolver()
        house.rewriter = TrivialRewrite(house.settings, house)
        house.bouncer = BounceService(house.settings, house)
        house.anvil = self._anvil = self._open_anvil()
        self._verifier = AddressVerifier(self._settings_of("verify"), house)
        house.verify, house.probed = self._verifier.verify, self._verifier.report
        house.agent = self._agent
        for service in house.services:
            if service.command == "cleanup":
                house.cleanups[service.name] = CleanupService(service, house.settings_of(service), house)

    def _settings_of(self, command: str) -> Settings:
        """The settings of the service that runs this daemon; main.cf's where master.cf has none."""
        service = next((service for service in self.house.services if service.command == command), None)
        return self.house.settings if service is None else self.house.settings_of(service)

    def _open_anvil(self) -> Anvil:
        settings = self._settings_of("anvil")
        unit, interval = settings.seconds("anvil_rate_time_unit"), settings.seconds("anvil_status_update_time")
        return Anvil(self.house.log(settings, "anvil"), self._seat, unit, interval)

    def _agent(self, name: str) -> DeliveryAgent:
        from posthouse.deliver.agent import build_agent

        found = self._agents.get(name)
        if found is None:
            service = self.house.service(name)
            if service is None:
                raise KeyError(name)
            found = self._agents[name] = build_agent(service, self.house.settings_of(service), self.house)
        return found

    def _open_queue(self) -> None:
        from posthouse.queue.queue_id import QueueIds

        house = self.house
        settings = self._settings_of("qmgr")
        self._shares = Shares(house, settings, self._slot, self._setup.workers)
        ids = QueueIds(self._shares.number % 32, long=settings.flag("enable_long_queue_ids"))
        house.intake = HouseIntake(house, self._shares, ids.new)
        house.flush = self._shares.flush_site
        self._shares.start()

    # Listening

    async def _serve_inet(self) -> None:
        loop = asyncio.get_running_loop()
        for endpoint, sock in self._setup.sockets.items():
            service = self._service_of(endpoint)
            if service is not None and service.command == "spawn":
                self._serve_spawn(service, sock)
            if service is not None and service.command in policy_services.COMMANDS:
                self._servers.append(await policy_services.serve(service, self.house, sock.dup()))
            if service is None or service.command not in ("smtpd", scanning.COMMAND):
                continue
            if service.command == scanning.COMMAND and scanning.is_milter(service, self.house):
                await self._serve_milter(service, sock)
                continue
            smtpd = self._smtpds.get(endpoint.service)
            if smtpd is None:
                smtpd = self._smtpds[endpoint.service] = self._smtpd(service)
            copy = sock.dup()
            if endpoint.family == socket.AF_UNIX:
                self._servers.append(await loop.create_unix_server(smtpd.protocol_factory, sock=copy))
            else:
                self._servers.append(await loop.create_server(smtpd.protocol_factory, sock=copy))

    def _smtpd(self, service: Service) -> SmtpdService:
        if service.command == scanning.COMMAND:
            scan = scanning.scan_service(service, self.house)
            self._agents[f"{service.name} {service.type}"] = scan.agent
            return scan.listener
        return SmtpdService(service, self.house.settings_of(service), self.house)

    async def _serve_milter(self, service: Service, sock: socket.socket) -> None:
        key = (service.name, service.type)
        milter = self._milters.get(key)
        if milter is None:
            milter = self._milters[key] = scanning.scan_milter(service, self.house)
        self._servers.append(await scanning.listen(milter, sock.dup()))

    def _serve_spawn(self, service: Service, sock: socket.socket) -> None:
        spawn = SpawnService(service, self.house.settings_of(service), self.house)
        spawn.listen(sock.dup())
        self._spawns.append(spawn)

    def _service_of(self, endpoint: Endpoint) -> Service | None:
        return next((s for s in self.house.services if (s.name, s.type) == endpoint.service), None)

    def _socket_named(self, name: str) -> socket.socket | None:
        return next((sock for end, sock in self._setup.sockets.items() if end.service == (name, "unix")), None)

    async def _serve_commands(self) -> None:
        self._control = QueueControl(self.house, self.shares.each, self.shares.number)
        await self._control.serve()

    async def _stop_listening(self) -> None:
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        spawns, self._spawns = self._spawns, []
        await asyncio.gather(*(spawn.close() for spawn in spawns))
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._control is not None:
            await self._control.close()
            self._control = None
        if self._pickup is not None:
            self._stop_hearing_pickup()
            await self._pickup.stop()
            self._pickup = None

    # Pickup

    def _start_pickup(self) -> None:
        if self._pickup is not None:
            return
        service = next((service for service in self.house.services if service.command == "pickup"), None)
        self._pickup = Pickup(service, self._settings_of("pickup"), self.house, self.shares.put)
        if (sock := self._socket_named(PICKUP_SOCKET)) is not None:
            asyncio.get_running_loop().add_reader(sock.fileno(), self._hear_sendmail, sock)
        self._pickup.start()

    def _hear_sendmail(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sock.recv(16):
                pass
        if self._pickup is not None:
            self._pickup.wake()

    def _stop_hearing_pickup(self) -> None:
        if (sock := self._socket_named(PICKUP_SOCKET)) is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
