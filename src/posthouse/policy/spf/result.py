"""What SPF says of one identity (RFC 7208, 2.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]
Identity = Literal["mailfrom", "helo"]


@dataclass(frozen=True, slots=True)
class SpfResult:
    """explanation: the domain's own words for a fail, otherwise pyspf's. domain is the one whose record counted.
    sends_nothing: the record is "v=spf1 -all". mechanism is what decided, "" for nothing.
    """

    result: Result
    identity: Identity
    domain: str
    explanation: str = ""
    mechanism: str = ""
    sends_nothing: bool = False

    @property
    def text(self) -> str:
        """The explanation on one line of printable ASCII; "no SPF record" where there is nothing to say."""
        text = self.explanation or ("no SPF record" if self.result == "none" else self.result)
        return "".join(c if " " <= c <= "~" else "?" for c in text)[:500]
