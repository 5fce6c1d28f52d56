"""The joint to whoever checks passwords: what smtpd asks of an smtpd_sasl_type (SASL_README)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """A mechanism and its properties, in the words of Dovecot (plaintext, dictionary, active, anonymous,
    mutual-auth, forward-secrecy, private), and "channel-binding" for those that need TLS.
    """

    name: str
    properties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LoginPeer:
    """Whose login it is: both ends of the connection, whether TLS protects it, and whether the client's certificate
    is trusted. channels are what this connection alone has (RFC 5929, RFC 9266), by name.
    """

    client_address: str
    server_address: str
    is_secured: bool = False
    has_trusted_certificate: bool = False
    channels: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client has to answer this."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Granted:
    """The client is who it says."""

    user: str


@dataclass(frozen=True, slots=True)
class Denied:
    """It is not. reason is for the client and the log ("" unknown), user the name it gave, where that is known."""

    reason: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can say now."""

    reason: str


Answer = Challenge | Granted | Denied | Unavailable


class LoginDialogue(Protocol):
    """One AUTH command."""

    async def begin(self, mechanism: str, initial: bytes | None) -> Answer:
        """The mechanism as the client typed it, and what came with AUTH itself (None: nothing)."""
        ...

    async def go_on(self, response: bytes) -> Answer:
        """The client's answer to a challenge."""
        ...

    def abandon(self) -> None:
        """The client has given up."""
        ...


class LoginService(Protocol):
    """Checks logins, many at a time."""

    async def offers(self) -> tuple[Offer, ...]:
        """What it can do. Raises LookupFailed where it cannot be reached."""
        ...

    def dialogue(self, peer: LoginPeer) -> LoginDialogue: ...

    async def close(self) -> None: ...
