"""Policy servers inside the house: "greylist unix - n n - - greylist" and "spf unix - n n - - spf" in master.cf.

They answer check_policy_service as postgrey and policyd-spf do, without another process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.policy.greylist.in_house import Attempt, Greylister
from posthouse.policy.policy_connections import MAX_REQUEST, PolicyConnections
from posthouse.services.house import House

COMMANDS = frozenset({"greylist", "spf"})
_MAX_INSTANCES = 2000

Answer = Callable[[dict[str, str]], Awaitable[str]]


async def serve(service: Service, house: House, sock: socket.socket) -> asyncio.Server:
    """Answer on a listening socket, which is this server's from now on. Raises ConfigError."""
    settings = house.settings_of(service)
    log = house.log(settings, service.command)
    try:
        answer = _greylist(settings, house) if service.command == "greylist" else _spf(settings, house)
    except ConfigError:
        sock.close()
        raise
    connections = PolicyConnections(answer, log.warning)
    if sock.family == socket.AF_UNIX:
        return await asyncio.start_unix_server(connections.serve, sock=sock, limit=MAX_REQUEST)
    return await asyncio.start_server(connections.serve, sock=sock, limit=MAX_REQUEST)


def _greylist(settings: Settings, house: House) -> Answer:
    from posthouse.policy.spf.in_house import checker_of, proven_domain

    log = house.log(settings, "greylist")
    if house.greylist is None:
        house.greylist = Greylister(settings, log)
    greylister: Greylister = house.greylist
    instances: dict[str, None] = {}

    async def answer(attributes: dict[str, str]) -> str:
        missing = [name for name in ("client_address", "sender", "recipient") if name not in attributes]
        if missing:
            log.warning(f"attribute missing: {missing[0]}")
            return "DUNNO"
        client, sender, recipient = (attributes[name] for name in ("client_address", "sender", "recipient"))

        async def proof() -> str:
            return await proven_domain(checker_of(house, settings), client, sender, attributes.get("helo_name", ""))

        attempt = Attempt(client, attributes.get("client_name", "unknown"), sender, recipient)
        decision = await greylister.judge(attempt, proof)
        if not decision.passes:
            return f"DEFER_IF_PERMIT 4.2.0 {greylister.refusal_text(decision, recipient)}"
        header = greylister.header(decision)
        return f"PREPEND {header}" if header and _is_first(instances, attributes.get("instance", "")) else "DUNNO"

    return answer


def _spf(settings: Settings, house: House) -> Answer:
    from posthouse.policy.spf.in_house import checker_of
    from posthouse.policy.spf.options import read_options
    from posthouse.policy.spf.policy_server import SpfPolicyServer, with_host

    path, log, lines = settings.text("posthouse_spf_configuration"), house.log(settings, "spf"), list[str]()
    if path:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.readlines()
        except OSError as problem:
            text = f"{path}: {problem.strerror}"
            raise ConfigError(text, parameter="posthouse_spf_configuration") from problem
    options, problems = read_options(lines, path)
    for problem_text in problems:
        log.warning(problem_text)

    def tell(level: int, text: str) -> None:
        if options.debugLevel >= level:
            log.info(text)

    return SpfPolicyServer(with_host(options, settings.text("myhostname")), checker_of(house, settings), tell).answer


def _is_first(instances: dict[str, None], instance: str) -> bool:
    """Whether the message has no header field yet."""
    if instance and instance in instances:
        return False
    if len(instances) >= _MAX_INSTANCES:
        del instances[next(iter(instances))]
    instances[instance] = None
    return True
