"""Private keys: master, which may read them, reads them for its workers, at the start and when they were renewed.

docs/decisions/keys.md says why. Both sides are here: answer() is master's, KeyDesk a worker's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.master.control import Line
from posthouse.receive.smtpd.tls_level import Level, key_sources, tls_level
from posthouse.system.key_files import KeyFile, read_key_file

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SOON = dt.timedelta(days=7)
KEY = b"key "  # from a worker: please open this file; to it: here it is
NO_KEY = b"no key "  # to a worker: errno and the file's name
ANSWER_LIMIT_S = 5.0


Sources = dict[tuple[str, ...], str]


def sources_of(settings: Settings, services: Iterable[Service]) -> Sources:
    """The files that services use together, for each certificate, and the service that is the first to."""
    found: Sources = {}
    for service in services:
        if service.command not in ("smtpd", "smtp", "lmtp"):
            continue
        try:
            view = settings.with_overrides(service.options, service.name)
            if service.command == "smtpd" and tls_level(view) is Level.NONE:
                continue
            for source in key_sources(view, service.command):
                found.setdefault(source, service.name)
        except ConfigError:
            continue  # the service itself says so when it starts
    return found


def complaints(sources: Sources, keys: dict[str, KeyFile], now: dt.datetime) -> list[str]:
    """What is wrong with keys and certificates, or soon will be."""
    from posthouse.system.tls_pairs import parse_pairs

    said: list[str] = []
    for source, service in sources.items():
        where = f"TLS of service {service}: {' and '.join(source)}"
        missing = [path for path in source if path not in keys]
        said += [f"TLS of service {service}: cannot read {path}" for path in missing]
        if missing:
            continue
        said += [f"{where}: {text}" for path in source if (text := _mode_trouble(path, keys[path]))]
        try:
            pairs = parse_pairs(b"\n".join(keys[path].data for path in source))
        except ValueError as error:
            said.append(f"{where}: {error}")
            continue
        said += [f"{where}: {text}" for pair in pairs if (text := _date_trouble(pair.certificate, now))]
    return said


def _mode_trouble(path: str, file: KeyFile) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"cannot look at {path}: {error.strerror}"
    if mode & stat.S_IROTH and b"PRIVATE KEY-----" in file.data:
        return f"everybody may read the private key in {path} (mode {mode & 0o7777:04o}; 0600 is enough)"
    return ""


def _date_trouble(certificate: Certificate, now: dt.datetime) -> str:
    end = certificate.not_valid_after_utc
    if end < now:
        return f"the certificate has expired on {end:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} on"
    return f"the certificate expires on {end:%Y-%m-%d}" if end < now + SOON else ""


def unfit(settings: Settings, services: Iterable[Service], keys: dict[str, KeyFile]) -> list[str]:
    """Why TLS of a service will not work, though its keys are good: names of ciphers, authorities and the like."""
    from posthouse.receive.smtpd.tls_rules import read_tls_rules
    from posthouse.system.tls import TrustStore
    from posthouse.system.tls_pairs import parse_pairs
    from posthouse.system.tls_server import make_context

    said: dict[str, str] = {}
    for service in services:
        if service.command != "smtpd":
            continue
        try:
            rules = read_tls_rules(settings.with_overrides(service.options, service.name))
            pairs = [pair for path in rules.sources for pair in parse_pairs(b"\n".join(keys[one].data for one in path))]
            wanted = rules.context_rules()
        except (ConfigError, ValueError, KeyError):
            continue  # that is said elsewhere
        if rules.level is Level.NONE:
            continue
        try:
            make_context(wanted, pairs)
            if rules.asks_certificate:
                TrustStore((rules.ca_file,), rules.ca_path, system_too=rules.trusts_system)
        except ValueError as error:
            said.setdefault(str(error), service.name)
    return [f"TLS of service {name}: {text}" for text, name in said.items()]


def read_keys(paths: Iterable[str]) -> dict[str, KeyFile]:
    """What can be read of them now; the rest is complained about where it is missed."""
    found: dict[str, KeyFile] = {}
    for path in paths:
        try:
            found[path] = read_key_file(path)
        except OSError:
            continue
    return found


def answer(line: Line, word: bytes, allowed: frozenset[str]) -> None:
    """Open a file that the configuration names for a worker that may not."""
    path = os.fsdecode(word.removeprefix(KEY))
    try:
        if path not in allowed:
            raise PermissionError(13, "not among the key files of the configuration")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        line.say(NO_KEY + f"{error.errno or 0} ".encode() + os.fsencode(path))
        return
    line.say(word, fd)
    os.close(fd)


class KeyDesk:
    """Asks master for files, and hands out what comes back."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._awaited: dict[str, list[asyncio.Future[int]]] = {}

    async def open(self, path: str) -> int:
        """A descriptor of the file. Raises OSError."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(path, [])
        waiting.append(future)
        if len(waiting) == 1:
            self._line.say(KEY + os.fsencode(path))
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await future
        except TimeoutError as error:
            self._awaited.pop(path, None)
            raise PermissionError(13, os.strerror(13), path) from error

    def take(self, word: bytes, fd: int) -> bool:
        """Whether the word of master was about a key. The descriptor is then dealt with."""
        if word.startswith(KEY) and fd >= 0:
            for future in self._awaited.pop(os.fsdecode(word.removeprefix(KEY)), []):
                if not future.done():
                    future.set_result(os.dup(fd))
            os.close(fd)
            return True
        if word.startswith(NO_KEY):
            number, _, path = word.removeprefix(NO_KEY).partition(b" ")
            for future in self._awaited.pop(os.fsdecode(path), []):
                if not future.done():
                    future.set_exception(OSError(int(number), os.strerror(int(number)), os.fsdecode(path)))
            return True
        return False
