"""What main.cf says about milters: who they are, how long they may take, what to do without them (MILTER_README)."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from posthouse.config.parameters import PARAMETERS
from posthouse.config.settings import Settings
from posthouse.config.types import parse_time
from posthouse.errors import ConfigError
from posthouse.lookup.braces import split_items
from posthouse.protocols.milter import EXTENSIONS, OFFERED, Event, MacroStage, Steps

Endpoint = tuple[str, int] | str
_ACTIONS = frozenset({"accept", "reject", "tempfail", "quarantine", "shutdown"})
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(.*?)\s*\Z", re.DOTALL)
_TIMES = frozenset({"connect_timeout", "command_timeout", "content_timeout"})
_MACRO_PARAMETERS = {
    MacroStage.CONNECT: "milter_connect_macros",
    MacroStage.HELO: "milter_helo_macros",
    MacroStage.MAIL: "milter_mail_macros",
    MacroStage.RCPT: "milter_rcpt_macros",
    MacroStage.DATA: "milter_data_macros",
    MacroStage.END_OF_HEADER: "milter_end_of_header_macros",
    MacroStage.END_OF_MESSAGE: "milter_end_of_data_macros",
}
STAGES = {
    Event.CONNECT: MacroStage.CONNECT,
    Event.HELO: MacroStage.HELO,
    Event.MAIL: MacroStage.MAIL,
    Event.RCPT: MacroStage.RCPT,
    Event.DATA: MacroStage.DATA,
    Event.HEADER: MacroStage.END_OF_HEADER,
    Event.END_OF_HEADER: MacroStage.END_OF_HEADER,
    Event.BODY: MacroStage.END_OF_MESSAGE,
    Event.END_OF_MESSAGE: MacroStage.END_OF_MESSAGE,
}


@dataclass(frozen=True, slots=True)
class MilterRule:
    """One milter. name is as in main.cf ("inet:127.0.0.1:8891"), endpoint (host, port) or a path; times are in seconds.

    default_action is a word of milter_default_action; unheard are steps that milter_protocol says it does not answer.
    problem says why main.cf's words about it make no sense: then mail waits, and is not let through unseen.
    """

    name: str
    endpoint: Endpoint
    connect_timeout: int
    command_timeout: int
    content_timeout: int
    default_action: str
    version: int
    unheard: Steps
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MacroLists:
    """The names of the macros for each stage, and values of those that are not known otherwise."""

    stages: Mapping[MacroStage, tuple[str, ...]]
    unknown_command: tuple[str, ...]
    defaults: Mapping[str, str]

    def default(self, name: str) -> str | None:
        """The value of milter_macro_defaults, which may leave out the braces of long names; lists, too."""
        return self.defaults.get(_in_braces(name))


def macro_lists(settings: Settings) -> MacroLists:
    """The milter_*_macros of a service."""
    stages = {stage: tuple(split_items(settings.text(name))) for stage, name in _MACRO_PARAMETERS.items()}
    unknown = tuple(split_items(settings.text("milter_unknown_command_macros")))
    return MacroLists(stages, unknown, _defaults(settings))


def _in_braces(name: str) -> str:
    """A name as milters know it: long ones are in braces."""
    return name if len(name) == 1 or name.startswith("{") else f"{{{name}}}"


def _defaults(settings: Settings) -> dict[str, str]:
    """milter_macro_defaults: name=value, {name}=value or { name = value }."""
    found: dict[str, str] = {}
    for item in split_items(settings.text("milter_macro_defaults")):
        text = item[1:-1] if item.startswith("{") and item.endswith("}") else item
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"malformed milter_macro_defaults: {item}", parameter="milter_macro_defaults")
        found[_in_braces(name.strip())] = value.strip()
    return found


def milters_from(settings: Settings, text: str) -> tuple[MilterRule, ...]:
    """The milters of a list as smtpd_milters, non_smtpd_milters and smtpd_milter_maps have it; DISABLE is none."""
    if text.strip().upper() == "DISABLE":
        return ()
    try:
        common = _common(settings)
    except ConfigError as error:
        return tuple(_unusable(item, str(error)) for item in split_items(text))
    rules: list[MilterRule] = []
    for item in split_items(text):
        try:
            rules.append(_rule(settings, common, item))
        except ConfigError as error:
            rules.append(_unusable(item, str(error)))
    return tuple(rules)


def _unusable(item: str, problem: str) -> MilterRule:
    return MilterRule(item, "", 1, 1, 1, "tempfail", 6, Steps(0), problem)


def _common(settings: Settings) -> MilterRule:
    version, unheard = _protocol(settings.text("milter_protocol"))
    return MilterRule(
        name="",
        endpoint="",
        connect_timeout=settings.seconds("milter_connect_timeout"),
        command_timeout=settings.seconds("milter_command_timeout"),
        content_timeout=settings.seconds("milter_content_timeout"),
        default_action=_action(settings.text("milter_default_action")),
        version=version,
        unheard=unheard,
    )


def _action(word: str) -> str:
    if word not in _ACTIONS:
        raise ConfigError(f"unrecognized default action: {word}")
    return word


def _protocol(text: str) -> tuple[int, Steps]:
    version, unheard = 0, Steps(0)
    for word in text.replace(",", " ").split():
        if word.isdigit() and int(word) in OFFERED:
            version = int(word)
        elif word in EXTENSIONS:
            unheard |= EXTENSIONS[word]
        else:
            raise ConfigError(f"bad milter protocol information: {text}")
    if not version:
        raise ConfigError(f"no milter protocol version in: {text}")
    return version, unheard


def _rule(settings: Settings, common: MilterRule, item: str) -> MilterRule:
    """One item: an endpoint, or { endpoint, name=value, ... }."""
    if not item.startswith("{"):
        return replace(common, name=item, endpoint=endpoint_of(settings, item))
    words = split_items(item[1:-1])
    if not words:
        raise ConfigError(f'empty milter in "{item}"')
    rule = replace(common, name=words[0], endpoint=endpoint_of(settings, words[0]))
    for word in words[1:]:
        pair = _PAIR.match(word[1:-1] if word.startswith("{") and word.endswith("}") else word)
        if pair is None:
            raise ConfigError(f'missing "=" after attribute name: "{word}"')
        rule = _with(rule, pair[1], pair[2])
    return rule


def _with(rule: MilterRule, name: str, value: str) -> MilterRule:
    if name in _TIMES:
        try:
            seconds = parse_time(PARAMETERS[f"milter_{name}"], value, "s")
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
        fields = {"connect_timeout": rule.connect_timeout, "command_timeout": rule.command_timeout}
        fields |= {"content_timeout": rule.content_timeout, name: seconds}
        return replace(rule, **fields)  # type: ignore[arg-type]
    if name == "default_action":
        return replace(rule, default_action=_action(value))
    if name == "protocol":
        version, unheard = _protocol(value)
        return replace(rule, version=version, unheard=unheard)
    raise ConfigError(f'unexpected attribute "{name}" in milter "{rule.name}"')


def endpoint_of(settings: Settings, text: str) -> Endpoint:
    """inet:host:port or unix:path (below the queue directory, unless absolute). Raises ConfigError."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return os.path.join(settings.text("queue_directory"), rest)
    host, colon, port = rest.rpartition(":")
    if kind != "inet" or not rest:
        raise ConfigError(f'Milter service needs transport:endpoint instead of "{text}"')
    if not colon:
        host, port = "localhost", rest
    return host.removeprefix("[").removesuffix("]"), _port(port, text)


def _port(port: str, text: str) -> int:
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return int(port)
    try:
        return socket.getservbyname(port, "tcp")
    except OSError:
        raise ConfigError(f'unknown service "{port}" in "{text}"') from None
