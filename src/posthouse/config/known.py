"""Which names a configuration may use, which it uses, and which mean nothing.

A name is known when it is a parameter of Postfix, a <transport>_... parameter of a service in master.cf, a parameter
of a table in main.cf (ldap:name), a restriction class, or when the value of a known name refers to it as $name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from posthouse.config.expand import ExpansionError, expand
from posthouse.config.main_cf import Setting
from posthouse.config.master_cf import Entry, unbraced
from posthouse.config.parameters import PARAMETERS
from posthouse.config.transports import SUFFIXES
from posthouse.config.types import Kind, split_items

DELIVERY_AGENTS: Final = frozenset({"error", "lmtp", "local", "pipe", "smtp", "virtual"})
"""Daemons whose services have the queue manager's <transport>_... parameters."""

RUNS_COMMANDS: Final = frozenset({"pipe", "spawn"})

LEGACY: Final = frozenset(
    {
        "authorized_verp_clients", "fallback_relay", "lmtp_per_record_deadline", "postscreen_blacklist_action",
        "postscreen_dnsbl_ttl", "postscreen_dnsbl_whitelist_threshold", "postscreen_whitelist_interfaces",
        "smtp_per_record_deadline", "smtpd_client_connection_limit_exceptions", "smtpd_per_record_deadline",
        "tlsproxy_client_level", "tlsproxy_client_policy", "virtual_maps",
    }
)  # fmt: skip
"""Names of old that the defaults of today still refer to."""

_DBMS: Final[dict[str, tuple[str, ...]]] = {
    "ldap": (
        "bind", "bind_dn", "bind_pw", "cache", "cache_expiry", "cache_size", "chase_referrals", "debuglevel",
        "dereference", "domain", "expansion_limit", "leaf_result_attribute", "query_filter", "recursion_limit",
        "result_attribute", "result_format", "scope", "search_base", "server_host", "server_port", "size_limit",
        "special_result_attribute", "terminal_result_attribute", "timeout", "version",
    ),
    "mysql": (
        "additional_conditions", "dbname", "domain", "expansion_limit", "hosts", "password", "query", "result_format",
        "select_field", "table", "user", "where_field",
    ),
    "pgsql": (
        "additional_conditions", "dbname", "domain", "expansion_limit", "hosts", "password", "query", "result_format",
        "select_field", "select_function", "table", "user", "where_field",
    ),
    "sqlite": (
        "additional_conditions", "dbpath", "domain", "expansion_limit", "query", "result_format", "select_field",
        "table", "where_field",
    ),
    "memcache": ("backup", "data_size_limit", "domain", "flags", "key_format", "line_size_limit", "max_try", "memcache",
                 "retry_pause", "timeout", "ttl"),
}  # fmt: skip

_REFERENCE: Final = re.compile(r"\$(?:\$|([A-Za-z0-9_]+)|[({]\s*([A-Za-z0-9_-]+))")
_TABLE: Final = re.compile(rf"(?:^|[\s,{{:])({'|'.join(_DBMS)}):([A-Za-z0-9_]+)(?=$|[\s,}}])")


@dataclass(slots=True)
class Names:
    """What is known of a configuration's names. undefined holds (file, name) in the order of their discovery."""

    service: dict[str, str] = field(default_factory=dict)
    """<transport>_... names, with their defaults."""
    user: dict[str, None] = field(default_factory=dict)
    """Names that main.cf or a -o defines and something known refers to."""
    undefined: dict[tuple[str, str], None] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        return name in PARAMETERS or name in self.service or name in self.user


def references(value: str) -> Iterator[str]:
    """The names that a value refers to as $name, at any depth of its ${...}."""
    for found in _REFERENCE.finditer(value):
        name = found.group(1) or found.group(2)
        if name:
            yield name


def service_parameters(entries: Iterable[Entry]) -> dict[str, str]:
    """The <transport>_... parameters of the services in master.cf, with their defaults."""
    found: dict[str, str] = {}
    for entry in entries:
        daemon = entry.fields[7]
        for suffix, general in SUFFIXES.items():
            if daemon in (RUNS_COMMANDS if suffix == "_time_limit" else DELIVERY_AGENTS):
                found[entry.name + suffix] = f"${general}"
    return found


def overrides_of(entry: Entry) -> dict[str, str]:
    """The -o settings of a line, where they are well formed; others are reported elsewhere."""
    found: dict[str, str] = {}
    words = iter(entry.words)
    for word in words:
        if not word.startswith("-"):
            break
        if word == "-o":
            text = next(words, "")
            name, sign, value = unbraced(text).partition("=")
            if sign:
                found[name.strip()] = value.strip() if text.startswith("{") else value
    return found


def survey(settings: Mapping[str, Setting], entries: Iterable[Entry], main: str, master: str) -> Names:
    """Find out which names are known. main and master are the files' names, for what is undefined."""
    entries = list(entries)
    names = Names(service=service_parameters(entries))
    scopes: list[tuple[str, Mapping[str, str]]] = [(main, {name: setting.value for name, setting in settings.items()})]
    scopes += [(master, options) for entry in entries if (options := overrides_of(entry))]
    every = scopes[0][1]
    for file, values in scopes:
        _register_classes(names, file, values, every)
        _register_tables(names, values, every)
    for parameter in PARAMETERS.values():
        for name in references(parameter.default):
            if name in every and not names.knows(name):
                names.user[name] = None
    for file, values in scopes:
        _register_references(names, file, values, every)
    return names


def _register_classes(names: Names, file: str, values: Mapping[str, str], every: Mapping[str, str]) -> None:
    """smtpd_restriction_classes makes names; each must have a value."""
    text = values.get("smtpd_restriction_classes")
    if text is None:
        return
    for name in split_items(_expanded(text, {**every, **values}.get)):
        if names.knows(name):
            continue
        if name in values or name in every:
            names.user[name] = None
        else:
            names.undefined[file, name] = None


def _expanded(text: str, value_of: Callable[[str], str | None]) -> str:
    def lookup(name: str) -> str | None:
        parameter = PARAMETERS.get(name)
        return value_of(name) or (parameter.default if parameter else None)

    try:
        return expand(text, lookup)
    except ExpansionError:
        return text


def _register_tables(names: Names, values: Mapping[str, str], every: Mapping[str, str]) -> None:
    """ldap:name and its like are configured in main.cf itself, as name_server_host."""
    for value in values.values():
        for kind, table in _TABLE.findall(value):
            for suffix in _DBMS[kind]:
                name = f"{table}_{suffix}"
                if name in every:
                    names.user[name] = None


def _register_references(names: Names, file: str, values: Mapping[str, str], every: Mapping[str, str]) -> None:
    """What a known name refers to is known too, and so on; what has no value anywhere is undefined."""
    waiting = list(values)
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        if name in PARAMETERS and PARAMETERS[name].kind is Kind.TEMPLATE:
            continue
        for reference in references(values.get(name, every.get(name, ""))):
            if reference not in values and reference not in every:
                if not names.knows(reference) and reference not in LEGACY:
                    names.undefined[file, reference] = None
                continue
            if not names.knows(reference):
                names.user[reference] = None
            if reference not in seen:
                seen.add(reference)
                waiting.append(reference)
