"""All restrictions by name, each a function and a declaration of what it may do (postconf(5), smtpd_*)."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, Flag, auto
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from posthouse.policy.answer import Answer


class Stage(Flag):
    """Where a list of restrictions is evaluated."""

    CONNECT = auto()
    HELO = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    END_OF_DATA = auto()
    ETRN = auto()
    ANY = CONNECT | HELO | MAIL | RCPT | DATA | END_OF_DATA | ETRN
    WITH_HELO = HELO | MAIL | RCPT | DATA | END_OF_DATA | ETRN
    WITH_SENDER = MAIL | RCPT | DATA | END_OF_DATA
    WITH_RECIPIENT = RCPT | DATA | END_OF_DATA


class Permits(Enum):
    """Whether a restriction may end its list with "let it in", and for whom."""

    NEVER = "never"
    ALWAYS = "always"
    TRUSTED_CLIENT = "a client in mynetworks or at one of our own addresses"
    AUTHENTICATED_CLIENT = "a client that has logged in or shown a certificate we know"
    OUR_DESTINATION = "a recipient whose mail we take in anyway"
    ANY_CLIENT = "whatever a table, a list or a server outside says"


class Takes(Enum):
    """The word that follows a restriction."""

    NOTHING = ""
    TABLE = "type:name"
    DNS_LIST = "domain name"
    SERVER = "transport:server"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Restriction:
    """One word of the language. refuses_strangers: by itself it keeps a relay closed (says no, sooner or later, to a
    recipient that is not ours from a client that is not ours). waits: the function is a coroutine function.
    """

    name: str
    function: Callable[..., Answer | Awaitable[Answer]]
    manual: str
    permits: Permits
    takes: Takes
    stages: Stage
    needs_dns: bool
    needs_service: bool
    refuses_strangers: bool
    waits: bool
    instead: str


_known: dict[str, Restriction] = {}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def restriction(
    *former_names: str,
    permits: Permits = Permits.NEVER,
    takes: Takes = Takes.NOTHING,
    stages: Stage = Stage.ANY,
    needs_dns: bool = False,
    needs_service: bool = False,
    refuses_strangers: bool = False,
) -> Callable[[_Function], _Function]:
    """Declare the function below as the restriction of its own name; former_names are what older manuals call it."""

    def declare(function: _Function) -> _Function:
        own_name = function.__name__.rstrip("_")
        for name in (own_name, *former_names):
            _known[name] = Restriction(
                name,
                function,
                inspect.getdoc(function) or "",
                permits,
                takes,
                stages,
                needs_dns,
                needs_service,
                refuses_strangers,
                inspect.iscoroutinefunction(function),
                "" if name == own_name else own_name,
            )
        return function

    return declare


@cache
def _load() -> dict[str, Restriction]:
    from posthouse.policy import restrictions

    for module in pkgutil.iter_modules(restrictions.__path__):
        importlib.import_module(f"{restrictions.__name__}.{module.name}")
    return _known


def find(name: str) -> Restriction | None:
    """The restriction of that name (letter case does not matter), or None."""
    return _load().get(name.lower())


def all_restrictions() -> tuple[Restriction, ...]:
    """Every restriction there is, by name, former names included."""
    return tuple(entry for _, entry in sorted(_load().items()))


def similar(name: str) -> str:
    """The restriction that somebody who wrote name may have meant, or ""."""
    found = difflib.get_close_matches(name.lower(), _load(), n=1, cutoff=0.8)
    return found[0] if found else ""
