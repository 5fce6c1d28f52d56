"""Content under way: what DATA and BDAT read until it is complete (RFC 5321, 4.1.1.4; RFC 3030)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from posthouse.protocols.smtp_data import DataDecoder
from posthouse.protocols.smtp_server import Reply
from posthouse.receive.smtpd.content_spool import ContentSpool

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.verbs import Verb


class Incoming(Protocol):
    """What a session feeds instead of reading commands. verb has the outcome in its books."""

    verb: Verb

    @property
    def is_empty(self) -> bool:
        """Whether no input at all is needed."""
        ...

    def feed(self, data: bytes) -> bytes | None:
        """Take input; what is left over when it is complete, None while it is not."""
        ...

    def finish(self, session: Session) -> Coroutine[Any, Any, Reply | None]:
        """Complete: the reply."""
        ...

    def described(self) -> str:
        """Where the session is, for "lost connection after ..."."""
        ...

    def drop(self) -> None:
        """It will not be completed."""
        ...


class DataContent:
    """Up to the dot."""

    __slots__ = ("_decoder", "_then", "spool", "verb")

    def __init__(
        self, verb: Verb, decoder: DataDecoder, spool: ContentSpool,
        then: Callable[[Session, DataDecoder], Coroutine[Any, Any, Reply | None]],
    ) -> None:  # fmt: skip
        self.verb, self._decoder, self.spool, self._then = verb, decoder, spool, then

    @property
    def is_empty(self) -> bool:
        return False

    def feed(self, data: bytes) -> bytes | None:
        decoder, before = self._decoder, self._decoder.lines
        self.spool.add(decoder.feed(data), decoder.lines - before)
        return decoder.rest if decoder.finished else None

    def finish(self, session: Session) -> Coroutine[Any, Any, Reply | None]:
        return self._then(session, self._decoder)

    def described(self) -> str:
        return f"DATA ({self.spool.wire_size + self._decoder.held} bytes)"

    def drop(self) -> None:
        self.spool.discard()


class ChunkContent:
    """So many bytes, to be kept or (after an error) thrown away."""

    __slots__ = ("_left", "_take", "_then", "verb")

    def __init__(
        self, verb: Verb, size: int, take: Callable[[bytes], None] | None,
        then: Callable[[Session], Coroutine[Any, Any, Reply | None]],
    ) -> None:  # fmt: skip
        self.verb, self._left, self._take, self._then = verb, size, take, then

    @property
    def is_empty(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes) -> bytes | None:
        part = data[: self._left]
        self._left -= len(part)
        if self._take is not None:
            self._take(part)
        return None if self._left else data[len(part) :]

    def finish(self, session: Session) -> Coroutine[Any, Any, Reply | None]:
        return self._then(session)

    def described(self) -> str:
        return "BDAT"

    def drop(self) -> None:
        """Nothing is held here."""
