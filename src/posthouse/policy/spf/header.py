"""The header fields in which a message carries what SPF said (RFC 7208, 9; RFC 8601); pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.policy.spf.result import SpfResult

_TOKEN = re.compile(r"[A-Za-z0-9.@_+-]+")
_ATEXT_PLAIN = re.compile(r'[^\s"();<>\\,:]+|"[^"\x00-\x1f]*"@[^\s"();<>\\,:]+')


@dataclass(frozen=True, slots=True)
class Mail:
    """What a message's field tells of its coming: client address, HELO name, sender ("" the null one), receiver."""

    client: str
    helo: str
    sender: str
    receiver: str

    @property
    def facts(self) -> str:
        """The end of all these fields."""
        sender = _value(self.sender) if self.sender else "<>"
        return self._facts(sender)

    def plain_facts(self) -> str:
        """The same, with nothing for the null sender."""
        return self._facts(_value(self.sender) if self.sender else "")

    def _facts(self, sender: str) -> str:
        receiver = self.receiver if self.receiver == "<UNKNOWN>" else _value(self.receiver)
        return f"client-ip={self.client}; helo={_helo(self.helo)}; envelope-from={sender}; receiver={receiver}"


def received_spf(found: SpfResult, mail: Mail) -> str:
    """Received-SPF: with the result, who was asked about, and the circumstances."""
    comment = "mailfrom" if found.identity == "mailfrom" else _comment(found.text)
    return f"Received-SPF: {found.result.capitalize()} ({comment}) identity={found.identity}; {mail.facts}"


def authentication_results(found: SpfResult, mail: Mail, authserv_id: str) -> str:
    """Authentication-Results: in the name of authserv_id."""
    domain = found.domain if _TOKEN.fullmatch(found.domain) else f'"{_quoted(found.domain)}"'
    about = f"smtp.{found.identity}={domain}"
    return f"Authentication-Results: {authserv_id}; spf={found.result} ({_comment(found.text)}) {about} ({mail.facts})"


def skipped(why: str, mail: Mail, authserv_id: str = "") -> str:
    """That SPF was not asked, and why; as Authentication-Results where authserv_id is given."""
    if authserv_id:
        return f"Authentication-Results: {authserv_id}; none ({why} -  {mail.plain_facts()})"
    return f"X-Comment: {why} - {mail.plain_facts()}"


def _value(text: str) -> str:
    """A value that holds together: as it is, or quoted; nothing in it can end the field."""
    return text if _ATEXT_PLAIN.fullmatch(text) else f'"{_quoted(text)}"'


def _helo(text: str) -> str:
    return text if re.fullmatch(r"[\w.:\[\]-]+", text) else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text).replace("\\", "\\\\").replace('"', '\\"')


def _comment(text: str) -> str:
    """Text between parentheses: its own must be in pairs."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    return text if depth == 0 else text.replace("(", "[").replace(")", "]")
