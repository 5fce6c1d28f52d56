"""The gate of `sendmail -bs`: whoever may run it may send mail (smtpd(8), stand-alone mode)."""

from __future__ import annotations

from posthouse.policy.request import Request
from posthouse.policy.verdict import PASS, Verdict


class OpenGate:
    """Passes every command."""

    async def connect(self, request: Request) -> Verdict:  # noqa: ARG002
        return PASS

    helo = mail = rcpt = vrfy = etrn = data = end_of_data = connect

    async def close(self) -> None:
        """Nothing is open."""
