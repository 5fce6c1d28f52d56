"""policyd-spf.conf: the options of Debian's policy server for SPF, with its defaults (policyd-spf.conf(5))."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from posthouse.errors import ConfigError

DEFAULT_FILE = "/etc/postfix-policyd-spf-python/policyd-spf.conf"
REASON = "Message {rejectdefer} due to: {spf}. Please see {url}"
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORMER = {"defaultSeedOnly": "TestOnly"}
_REJECT = ("SPF_Not_Pass", "Softfail", "Fail", "Null", "False", "No_Check")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "none")


def _local() -> tuple[_Network, ...]:
    return read_networks("127.0.0.0/8,::ffff:127.0.0.0/104,::1")


@dataclass(frozen=True, slots=True)
class SpfOptions:
    """Named as in the file. Networks are parsed; names and domains are in lower case."""

    debugLevel: int = 1  # noqa: N815 - its name in the file
    TestOnly: bool = True  # as there: 1 rejects, 0 only tells
    HELO_reject: str = "Fail"
    Mail_From_reject: str = "Fail"
    HELO_pass_restriction: str = ""
    Mail_From_pass_restriction: str = ""
    No_Mail: bool = False
    Reject_Not_Pass_Domains: tuple[str, ...] = ()
    PermError_reject: bool = False
    TempError_Defer: bool = False
    Prospective: str = ""
    skip_addresses: tuple[_Network, ...] = field(default_factory=_local)
    Whitelist: tuple[_Network, ...] = ()
    HELO_Whitelist: tuple[str, ...] = ()
    Domain_Whitelist: tuple[str, ...] = ()
    Domain_Whitelist_PTR: tuple[str, ...] = ()
    SPF_Enhanced_Status_Codes: bool = True
    Header_Type: str = "SPF"
    Hide_Receiver: bool = False
    Authserv_Id: str = "HOSTNAME"
    Lookup_Time: float = 20.0
    Whitelist_Lookup_Time: float = 10.0
    Void_Limit: int = 2
    Mock: bool = False
    QueueID: bool = True
    Reason_Message: str = REASON
    Per_User: str = ""


def read_options(lines: Iterable[str], file: str = "") -> tuple[SpfOptions, list[str]]:
    """The options, and what is wrong with the lines that were left out (file, line and why)."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip() if not line.lstrip().startswith("Reason_Message") else line.strip()
        if not text:
            continue
        name, sign, value = text.partition("=")
        try:
            name, read = _read(name.strip(), value.strip() if sign else None)
            values[name] = read
        except (ConfigError, ValueError) as problem:
            problems.append(f"{file}, line {number}: {problem}")
    return replace(SpfOptions(), **values), problems


def read_networks(text: str) -> tuple[_Network, ...]:
    """Addresses and networks, separated by commas. Raises ValueError."""
    found: list[_Network] = []
    for word in text.split(","):
        if word.strip() and word.strip().lower() != "none":
            network = ipaddress.ip_network(word.strip(), strict=False)
            found.append(network)
    return tuple(found)


def is_in(address: str, networks: Sequence[_Network]) -> bool:
    """Whether one of the networks has the IP address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


_KINDS: dict[str, type] = {
    entry.name: type(value)
    for entry, value in ((entry, getattr(SpfOptions(), entry.name)) for entry in fields(SpfOptions))
}
_NAMES = {name.lower(): name for name in (*_KINDS, *_FORMER)}
_NETWORKS = frozenset({"skip_addresses", "Whitelist"})


def _read(written: str, value: str | None) -> tuple[str, Any]:
    if value is None:
        raise ConfigError("expected name = value")
    name = _NAMES.get(written.lower())
    if name is None:
        raise ConfigError(f"unknown option {written}")
    name = _FORMER.get(name, name)
    if name in {"HELO_reject", "Mail_From_reject"}:
        return name, _choice(name, value, _REJECT)
    if name == "Header_Type":
        return name, _choice(name, value, ("SPF", "AR", "None"))
    if name in _NETWORKS:
        return name, read_networks(value)
    kind = _KINDS[name]
    if kind is bool:
        return name, _flag(name, value)
    if kind is tuple:
        return name, tuple(word.strip().lower() for word in value.split(",") if word.strip())
    if kind is str:
        return name, "" if value == "None" else value
    return name, kind(value)


def _choice(name: str, value: str, known: Sequence[str]) -> str:
    found = next((word for word in known if word.lower() == value.lower()), None)
    if found is None:
        raise ConfigError(f"{name} is one of {', '.join(known)}, not {value}")
    return found


def _flag(name: str, value: str) -> bool:
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise ConfigError(f"{name} is True or False, not {value}")


def for_user(options: SpfOptions, recipient: str, lines: Iterable[str]) -> SpfOptions:
    """The options as a recipient's line in the Per_User file changes them: address,Name=value|Name=value."""
    for line in lines:
        address, comma, changes = line.strip().partition(",")
        if comma and not address.startswith("#") and address.strip().lower() == recipient.lower():
            own, _problems = read_options(change.replace("//", "/") for change in changes.split("|"))
            named = {_NAMES.get(change.partition("=")[0].strip().lower(), "") for change in changes.split("|")}
            return replace(options, **{name: getattr(own, name) for name in named if name in _KINDS})
    return options
