"""SMTP's verbs, one file each: verbs/foo.py answers FOO. A file has `async def answer(session, arguments)`, which gives
the reply (None where it has replied itself), and may set IS_JUNK (counts for smtpd_junk_command_limit) and ENDS_GROUP
(the client must await the reply before it goes on, RFC 2920) and FOR_LMTP (it belongs to RFC 2033).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from posthouse.protocols.smtp_server import Reply, ok

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session


NOOP_OK = ok("Ok")  # what smtpd_noop_commands hear; they are not counted


@dataclass(frozen=True, slots=True)
class Verb:
    """A command of the dialogue."""

    word: str
    answer: Callable[[Session, str], Coroutine[Any, Any, Reply | None]]
    is_junk: bool = False
    ends_group: bool = False
    for_lmtp: bool = False

    def without_effect(self) -> Verb:
        """The same word, doing nothing (smtpd_noop_commands)."""
        return replace(self, answer=_do_nothing, is_junk=True)


async def _do_nothing(session: Session, arguments: str) -> Reply:  # noqa: ARG001
    return NOOP_OK


@lru_cache(maxsize=1)
def all_verbs() -> dict[str, Verb]:
    """Word -> verb, from this package's own listing."""
    verbs: dict[str, Verb] = {}
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        word = found.name.upper()
        flags = (getattr(module, name, False) for name in ("IS_JUNK", "ENDS_GROUP", "FOR_LMTP"))
        verbs[word] = Verb(word, module.answer, *flags)
    return verbs


@lru_cache(maxsize=1)
def smtp_verbs() -> dict[str, Verb]:
    """The verbs of a server that speaks SMTP only."""
    return {word: verb for word, verb in all_verbs().items() if not verb.for_lmtp}
