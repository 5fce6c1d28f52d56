"""Clients and recipients that greylisting leaves alone: files in postgrey's formats (postgrey(8), "Whitelists")."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MAX_LINES = 1_000_000
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PARTIAL = re.compile(r"(?:\d{1,3}\.){2}\d{1,3}")
_HOST_NAME = re.compile(r"[^\s/!]\S*|/\S*")


@dataclass(slots=True)
class ClientWhitelist:
    """Names (with their subdomains), expressions over the name, addresses and networks. problems are for the log."""

    names: set[str] = field(default_factory=set)
    expressions: list[re.Pattern[str]] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    networks: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def has(self, name: str, address: str) -> bool:
        """Whether the client of that name and IP address is listed."""
        return self._has_name(name) or self._has_address(address)

    def _has_name(self, name: str) -> bool:
        if _is_below(name.lower(), self.names):
            return True
        return any(expression.search(name) for expression in self.expressions)

    def _has_address(self, text: str) -> bool:
        if text in self.addresses or ("." in text and text.rpartition(".")[0] in self.partial):
            return True
        if not self.networks and not self.addresses:
            return False
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if str(address) in self.addresses:
            return True
        number, length, version = int(address), address.max_prefixlen, address.version
        return any(
            number >> (length - bits) in starts for (family, bits), starts in self.networks.items() if family == version
        )


@dataclass(slots=True)
class RecipientWhitelist:
    """Domains (with their subdomains), "name@" in any domain, whole addresses, expressions over the address."""

    domains: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    expressions: list[re.Pattern[str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def has(self, recipient: str) -> bool:
        """Whether mail to that address never waits. An extension (name+word) does not matter."""
        folded = recipient.lower()
        local, at, domain = folded.rpartition("@")
        if at:
            if _is_below(domain, self.domains):
                return True
            if any(name in self.names or f"{name}@{domain}" in self.addresses for name in _without_extensions(local)):
                return True
        return any(expression.search(recipient) for expression in self.expressions)


def read_clients(files: Iterable[tuple[str, Iterable[str]]]) -> ClientWhitelist:
    """The lists in (file name, lines); a line that cannot be understood is skipped and named in problems."""
    found = ClientWhitelist()
    for place, entry in _entries(files, found.problems):
        if not _add_expression(found.expressions, entry, place, found.problems) and not _add_client(found, entry):
            found.problems.append(f"{place}: doesn't look like a hostname")
    return found


def read_recipients(files: Iterable[tuple[str, Iterable[str]]]) -> RecipientWhitelist:
    """As read_clients, for recipients."""
    found = RecipientWhitelist()
    for place, entry in _entries(files, found.problems):
        if not _add_expression(found.expressions, entry, place, found.problems) and not _add_recipient(found, entry):
            found.problems.append(f"{place}: doesn't look like an address")
    return found


def open_files(paths: Sequence[str], optional: Sequence[str] = ()) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The lines of the files that are there, and what is wrong with those that cannot be read."""
    found: list[tuple[str, list[str]]] = []
    problems: list[str] = []
    for path in (*paths, *optional):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                found.append((path, file.readlines(MAX_LINES * 100)))
        except OSError as problem:
            if path not in optional or not isinstance(problem, FileNotFoundError):
                problems.append(f"can't open {path}: {problem.strerror}")
    return found, problems


def own_list(what: str) -> list[tuple[str, list[str]]]:
    """The list of "clients" or "recipients" that comes with Posthouse, in the form of open_files."""
    path = os.path.join(os.path.dirname(__file__), f"whitelist_{what}.txt")
    return open_files([path])[0]


def _entries(files: Iterable[tuple[str, Iterable[str]]], problems: list[str]) -> Iterable[tuple[str, str]]:
    for name, lines in files:
        for number, line in enumerate(lines, 1):
            if number > MAX_LINES:
                problems.append(f"{name}: only the first {MAX_LINES} lines are read")
                break
            entry = line.partition("#")[0].strip() if not line.lstrip().startswith("/") else line.strip()
            if entry:
                yield f"{name} line {number}", entry


def _add_expression(expressions: list[re.Pattern[str]], entry: str, place: str, problems: list[str]) -> bool:
    """Whether the entry is an expression in slashes, right or wrong."""
    if len(entry) < 3 or not (entry.startswith("/") and entry.endswith("/")):
        return False
    try:
        expressions.append(re.compile(entry[1:-1].replace("\\/", "/"), re.IGNORECASE))
    except re.error as problem:
        problems.append(f"{place}: bad expression {entry}: {problem}")
    return True


def _add_client(found: ClientWhitelist, entry: str) -> bool:
    if _PARTIAL.fullmatch(entry):
        found.partial.add(entry)
        return True
    if "/" in entry:
        network = _network(entry)
        if network is not None:
            start = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            found.networks.setdefault((network.version, network.prefixlen), set()).add(start)
            return True
    try:
        found.addresses.add(str(ipaddress.ip_address(entry)))
    except ValueError:
        if not _HOST_NAME.fullmatch(entry):
            return False
        found.names.add(entry.lower())
    return True


def _network(entry: str) -> _Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def _add_recipient(found: RecipientWhitelist, entry: str) -> bool:
    if any(character.isspace() for character in entry):
        return False
    local, at, domain = entry.lower().rpartition("@")
    if not at:
        found.domains.add(domain)
    elif not domain:
        found.names.add(local)
    else:
        found.addresses.add(f"{local}@{domain}")
    return True


def _without_extensions(local: str) -> Iterable[str]:
    """The local part, and what is left of it before each plus sign."""
    yield local
    while "+" in local:
        local = local.rpartition("+")[0]
        yield local


def _is_below(name: str, domains: set[str]) -> bool:
    """Whether the domain or a parent of it is among domains."""
    if not domains:
        return False
    while name:
        if name in domains:
            return True
        name = name.partition(".")[2]
    return False
