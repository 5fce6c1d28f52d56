"""The errors of the house: one root, and a class for each thing that a caller treats differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.mail.status import Status


class PosthouseError(Exception):
    """Anything that Posthouse itself reports."""


class ConfigError(PosthouseError):
    """A mistake in main.cf, master.cf or a file they name.

    file and line (1-based, 0 unknown) say where, parameter names the setting ("" where none is concerned).
    """

    def __init__(self, text: str, *, file: str = "", line: int = 0, parameter: str = "") -> None:
        super().__init__(text)
        self.text, self.file, self.line, self.parameter = text, file, line, parameter

    def __str__(self) -> str:
        place = f"{self.file}: " if not self.line else f"{self.file}, line {self.line}: "
        return f"{place if self.file else ''}{self.text}"


class LookupFailed(PosthouseError):
    """A table could not give an answer; this is not "not found". The caller answers with a temporary failure."""

    def __init__(self, table: str, text: str = "") -> None:
        super().__init__(f"{table}: {text}" if text else table)
        self.table, self.text = table, text


class ProtocolError(PosthouseError):
    """A peer broke the rules of its protocol."""


class TemporaryFailure(PosthouseError):
    """Work that may succeed later."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status


class PermanentFailure(PosthouseError):
    """Work that will never succeed."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status
