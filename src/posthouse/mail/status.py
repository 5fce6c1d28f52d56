"""What became of something: an enhanced status code (RFC 3463), an SMTP reply code (RFC 5321), and words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """A result. text goes to the peer (and to a bounce), reason only to the log; dsn and code may be "" and 0."""

    dsn: str
    code: int
    text: str
    reason: str = ""

    @property
    def is_success(self) -> bool:
        return self.dsn.startswith("2")

    @property
    def is_temporary(self) -> bool:
        return self.dsn.startswith("4")

    @property
    def is_permanent(self) -> bool:
        return self.dsn.startswith("5")
