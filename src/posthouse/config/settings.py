"""The configuration as one service sees it: main.cf, Postfix's defaults, and the service's own -o lines (postconf(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter was set; line is 1-based."""

    file: str
    line: int


class Settings:
    """A view of the configuration; answers are cached, so asking is cheap. Names are those of postconf(5)."""

    config_directory: str
    service: str  # name of the service in master.cf ("submission", "relay"), or ""

    def text(self, name: str) -> str:
        """The value with $names expanded. KeyError for a name that neither Postfix nor main.cf knows."""
        raise NotImplementedError

    def raw(self, name: str) -> str:
        """The value as written (default text where not set), nothing expanded."""
        raise NotImplementedError

    def integer(self, name: str) -> int:
        raise NotImplementedError

    def flag(self, name: str) -> bool:
        raise NotImplementedError

    def seconds(self, name: str) -> int:
        """A time value in seconds, whatever unit it was written in."""
        raise NotImplementedError

    def items(self, name: str) -> tuple[str, ...]:
        """A list split at commas and white space; {text with spaces} stays one item, without its outer braces."""
        raise NotImplementedError

    def is_set(self, name: str) -> bool:
        """Whether main.cf or -o gives the parameter a value."""
        raise NotImplementedError

    def knows(self, name: str) -> bool:
        """Whether text(name) has an answer: a parameter of Postfix, or a name that main.cf defines."""
        raise NotImplementedError

    def place(self, name: str) -> Place | None:
        """Where it was set; None for a default."""
        raise NotImplementedError

    def for_transport(self, transport: str, suffix: str) -> str:
        """<transport>_<suffix> where set, else default_<suffix> ("destination_concurrency_limit") as text, expanded."""
        raise NotImplementedError

    def with_overrides(self, overrides: Mapping[str, str], service: str = "") -> Settings:
        """The view of a service with these -o settings on top."""
        raise NotImplementedError


def load(config_directory: str | None = None) -> Settings:
    """Read main.cf. Directory: the argument, else MAIL_CONFIG, else /etc/postfix. Raises ConfigError."""
    raise NotImplementedError(config_directory)
