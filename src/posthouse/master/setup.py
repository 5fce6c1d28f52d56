"""One generation's configuration, read and checked, with the sockets that it listens on."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
from dataclasses import dataclass, field

from posthouse.config.main_cf import overridden, read_main_cf
from posthouse.config.master_cf import Service, read_master_cf
from posthouse.config.settings import Settings, load
from posthouse.errors import ConfigError
from posthouse.master import layout
from posthouse.master.judging import judge
from posthouse.master.keys import complaints, read_keys, sources_of, unfit
from posthouse.master.sockets import Endpoint, endpoints, listen
from posthouse.system import processes
from posthouse.system.key_files import KeyFile

PICKUP_SOCKET = "pickup"


@dataclass(slots=True)
class Setup:
    """What a generation of workers is given. warnings are about the configuration; sockets are open and listening.
    keys are the files with keys and certificates, read by whoever may; key_paths are the names of all of them.
    """

    settings: Settings
    services: tuple[Service, ...]
    generation: int
    warnings: list[str] = field(default_factory=list)
    sockets: dict[Endpoint, socket.socket] = field(default_factory=dict)
    keys: dict[str, KeyFile] = field(default_factory=dict)
    key_paths: frozenset[str] = frozenset()

    @property
    def workers(self) -> int:
        """How many workers there shall be: posthouse_workers, or one less than the machine has cores."""
        name = "posthouse_workers"
        wanted = self.settings.text(name) if self.settings.knows(name) else ""
        if wanted.isdecimal() and int(wanted) > 0:
            return int(wanted)
        return max(1, (os.cpu_count() or 1) - 1)

    @property
    def queue_directory(self) -> str:
        return self.settings.text("queue_directory")


def read(config_directory: str | None, generation: int) -> Setup:
    """Read both files and refuse what cannot run. Raises ConfigError."""
    settings = load(config_directory)
    services = read_master_cf(settings.config_directory)
    findings = [one for one in judge(settings, services).findings if one.severity != "note"]
    for finding in findings:
        if finding.severity == "fatal":
            raise ConfigError(finding.text, file=finding.file, line=finding.line, parameter=finding.parameter)
    sources = sources_of(settings, services)
    paths = frozenset(path for source in sources for path in source)
    keys = read_keys(paths)
    warnings = overridden(read_main_cf(os.path.join(settings.config_directory, "main.cf")))
    warnings += [str(finding) for finding in findings]
    if sources:
        warnings += complaints(sources, keys, dt.datetime.now(dt.UTC))
        warnings += unfit(settings, services, keys)
    return Setup(settings, tuple(services), generation, warnings, keys=keys, key_paths=paths)


def prepare_folders(setup: Setup) -> None:
    """Make the queue directory fit for the house. Raises ConfigError."""
    text = setup.settings.text
    layout.create_folders(setup.queue_directory, text("data_directory"), text("mail_owner"))


def open_sockets(setup: Setup, before: dict[Endpoint, socket.socket]) -> None:
    """Open what the services listen on; what was open before is taken over as it is. Raises ConfigError for none."""
    wanted = [*endpoints(setup.settings, setup.services), *own_endpoints(setup.queue_directory)]
    by_address = {(known.family, known.address): sock for known, sock in before.items()}
    opened: dict[Endpoint, socket.socket] = {}
    try:
        for endpoint in wanted:
            already = by_address.get((endpoint.family, endpoint.address))
            opened[endpoint] = already or listen(endpoint)
    except OSError as trouble:
        for sock in opened.values():
            if sock not in by_address.values():
                sock.close()
        reason = trouble.strerror or str(trouble)
        raise ConfigError(f"bind {endpoint.text}: {reason}") from trouble
    setup.sockets = opened
    _give_to_owner(setup)


def own_endpoints(queue_directory: str) -> list[Endpoint]:
    """The socket by which sendmail reaches the house; the queue's are opened by each worker (queue.control)."""
    path = os.path.join(queue_directory, "public", PICKUP_SOCKET)
    return [Endpoint(socket.AF_UNIX, path, (PICKUP_SOCKET, "unix"), datagram=True)]


def _give_to_owner(setup: Setup) -> None:
    """A socket in private/ is for the house alone: its folder keeps others out."""
    if not processes.runs_as_root():
        return
    owner, group = layout.owner_ids(setup.settings.text("mail_owner"))
    for endpoint in setup.sockets:
        if isinstance(endpoint.address, str):
            os.chown(endpoint.address, owner, group)


def forget_unused(former: Setup | None, current: Setup) -> None:
    """In a new worker: close its copies of the sockets that only the former generation listens on."""
    kept = set(map(id, current.sockets.values()))
    for sock in former.sockets.values() if former is not None else ():
        if id(sock) not in kept:
            sock.close()


def close_unused(former: Setup, current: Setup) -> None:
    """Close the sockets that only the former generation listened on."""
    kept = set(map(id, current.sockets.values()))
    for endpoint, sock in former.sockets.items():
        if id(sock) not in kept:
            sock.close()
            if isinstance(endpoint.address, str):
                with contextlib.suppress(OSError):
                    os.unlink(endpoint.address)
