"""What a question to the DNS comes to: records, nothing there, or trouble."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Missing(Enum):
    """Why there are no records; the value is the words of the log."""

    NO_NAME = "Host not found"
    NO_DATA = "Host found but no data record of requested type"


@dataclass(frozen=True, slots=True)
class Mx:
    """A mail exchanger; host is "" for "no mail here" (RFC 7505), and has no dot at its end."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Records of the type asked for, aliases followed: Mx for MX, text for A, AAAA, PTR, NS, TXT and CNAME (host names
    without the dot at their end), presentation format for all else. name is where the chain of aliases ended.

    secure: the server has validated it (AD). ttl is in seconds.
    """

    name: str
    type: str
    records: tuple[str | Mx, ...]
    ttl: int = 0
    secure: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The records as text; () for MX."""
        return tuple(record for record in self.records if isinstance(record, str))

    @property
    def exchangers(self) -> tuple[Mx, ...]:
        """The MX records in order of preference."""
        return tuple(sorted((r for r in self.records if isinstance(r, Mx)), key=lambda mx: mx.preference))


@dataclass(frozen=True, slots=True)
class NotFound:
    """The DNS says that there is no such thing."""

    name: str
    type: str
    why: Missing
    ttl: int = 0

    @property
    def reason(self) -> str:
        """The words after "type=X: " in the log."""
        return self.why.value

    @property
    def text(self) -> str:
        """As smtp(8) words it."""
        return _in_words(self)


DROPS_ALL = "DNS reply filter drops all results"
BAD_FILTER = "Invalid DNS reply filter syntax"


@dataclass(frozen=True, slots=True)
class DnsFailed:
    """No answer, or none of use: ask again later. reason is DROPS_ALL or BAD_FILTER where it is the filter's doing."""

    name: str
    type: str
    reason: str = "Host not found, try again"

    @property
    def text(self) -> str:
        """As smtp(8) words it."""
        return _in_words(self)


Result = Answer | NotFound | DnsFailed


def _in_words(result: NotFound | DnsFailed) -> str:
    if result.reason in {DROPS_ALL, BAD_FILTER}:
        return f"Error looking up name={result.name} type={result.type}: {result.reason}"
    service = f"Name service error for name={result.name} type={result.type}: {result.reason}"
    return f"Host or domain name not found. {service}"


@dataclass(frozen=True, slots=True)
class ClientNames:
    """The names of a client's address. name has been confirmed to lead back to the address; reverse_name has not.

    Codes are 2 known, 4 temporary failure, 5 none (or forged). warning is for the log, "" none.
    """

    name: str
    reverse_name: str
    name_code: int
    reverse_code: int
    warning: str = ""
