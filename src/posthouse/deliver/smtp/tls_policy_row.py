"""One row of smtp_tls_policy_maps: a level and attributes, in words to a policy (TLS_README, smtp_tls_policy_maps)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

from posthouse.errors import PosthouseError
from posthouse.mail.address import is_valid_hostname


class Level(IntEnum):
    """Postfix's security levels, weakest first."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    DANE = 3
    DANE_ONLY = 4
    FINGERPRINT = 5
    VERIFY = 6
    SECURE = 7

    @property
    def word(self) -> str:
        """As main.cf and tables write it."""
        return self.name.lower().replace("_", "-")


LEVELS = {level.word: level for level in Level}


class BadPolicy(PosthouseError):
    """What is asked for cannot be done; str() is for the log."""


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What is asked of a server; what is None or () is for main.cf to say.

    match holds names or fingerprints, anchors files of authorities that stand in for smtp_tls_CAfile; reuses: whether a
    connection under TLS may be kept.
    """

    level: Level
    match: tuple[str, ...] = ()
    protocols: str | None = None
    ciphers: str | None = None
    exclude: tuple[str, ...] | None = None
    server_name: str | None = None
    anchors: tuple[str, ...] = ()
    reuses: bool | None = None

    @property
    def is_mandatory(self) -> bool:
        return self.level >= Level.ENCRYPT


def parse_row(value: str) -> tuple[TlsPolicy, list[str]]:
    """The policy and what has to be said about the row. Raises BadPolicy."""
    words = [word for word in re.split(r"[\s,]+", value) if word]
    if not words:
        raise BadPolicy("invalid empty policy")
    level = LEVELS.get(words[0].lower())
    if level is None:
        raise BadPolicy(f'invalid security level "{words[0]}"')
    policy = TlsPolicy(level)
    if level is Level.NONE:
        return policy, [f'ignoring attribute "{word}" with TLS disabled' for word in words[1:]]
    for word in words[1:]:
        policy = _with_word(policy, word)
    return policy, []


def _with_word(policy: TlsPolicy, word: str) -> TlsPolicy:
    name, equals, text = word.partition("=")
    if not name or not equals:
        trouble = "missing attribute name" if equals else "missing '=' after attribute name"
        raise BadPolicy(f'malformed attribute/value pair "{word}": {trouble}')
    attribute = _ATTRIBUTES.get(name.lower())
    if attribute is None:
        raise BadPolicy(f'invalid attribute name: "{name}"')
    return attribute(policy, name, text)


def _once(given: object, name: str) -> None:
    if given is not None:
        raise BadPolicy(f'attribute "{name}" is specified multiple times')


def _some(text: str, name: str) -> None:
    if not text:
        raise BadPolicy(f'attribute "{name}" has empty value')


def _not_at(policy: TlsPolicy, name: str) -> BadPolicy:
    return BadPolicy(f'attribute "{name}" invalid at security level "{policy.level.word}"')


def _match(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    _some(text, name)
    match policy.level:
        case Level.FINGERPRINT:
            words = text.split("|")
        case Level.VERIFY | Level.SECURE:
            words = text.split(":")
        case _:
            raise _not_at(policy, name)
    return replace(policy, match=(*policy.match, *filter(None, words)))


def _protocols(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    _once(policy.protocols, name)
    return replace(policy, protocols=text)


def _ciphers(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    _some(text, name)
    _once(policy.ciphers, name)
    return replace(policy, ciphers=text)


def _exclude(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    _once(policy.exclude, name)
    return replace(policy, exclude=tuple(filter(None, text.split(":"))))


def _server_name(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    _once(policy.server_name, name)
    if not is_valid_hostname(text):
        raise BadPolicy(f'"{name}={text}" specifies an invalid hostname')
    return replace(policy, server_name=text)


def _anchors(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    if policy.level < Level.VERIFY:
        raise _not_at(policy, name)
    _some(text, name)
    return replace(policy, anchors=(*policy.anchors, text))


def _reuse(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    if text.lower() not in ("yes", "no"):
        raise BadPolicy(f'attribute "{name}" has bad value: "{text}"')
    return replace(policy, reuses=text.lower() == "yes")


_ATTRIBUTES: dict[str, Callable[[TlsPolicy, str, str], TlsPolicy]] = {
    "match": _match,
    "protocols": _protocols,
    "ciphers": _ciphers,
    "exclude": _exclude,
    "servername": _server_name,
    "tafile": _anchors,
    "connection_reuse": _reuse,
}
