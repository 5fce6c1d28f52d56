"""One mail transaction: what MAIL and RCPT said, and what policy wants done to the message."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.mail.envelope import Recipient
from posthouse.mail.status import Status
from posthouse.policy.verdict import Action, Effect
from posthouse.protocols.smtp_data import ChunkDecoder
from posthouse.protocols.smtp_server import MailParameters
from posthouse.receive.smtpd.content_spool import ContentSpool
from posthouse.receive.smtpd.proxy_filter import ProxyPassage


@dataclass(slots=True)
class Transaction:
    """From MAIL to the end of the message, RSET, or HELO. started is a Unix time (s). answers are those for each
    recipient, with LMTP.
    """

    sender: str
    parameters: MailParameters
    rewrite_context: str
    started: float
    verp: str = ""
    recipients: list[Recipient] = field(default_factory=list)
    overshoot: int = 0
    prepended: list[str] = field(default_factory=list)
    extra_bcc: list[str] = field(default_factory=list)
    hold: str | None = None
    over_limit: str = ""  # why the login's mail is held (login_counts.py)
    discard: str | None = None
    redirect: str = ""
    content_filter: str = ""
    chunks: ChunkDecoder | None = None  # set by the first BDAT
    spool: ContentSpool | None = None
    passage: ProxyPassage | None = None  # with smtpd_proxy_filter
    answers: tuple[Status, ...] = ()

    def apply(self, actions: tuple[Action, ...]) -> None:
        """Take note of what an access table wants."""
        for action in actions:
            match action.effect:
                case Effect.HOLD:
                    self.hold = action.argument
                case Effect.DISCARD:
                    self.discard = action.argument
                case Effect.FILTER:
                    self.content_filter = action.argument
                case Effect.REDIRECT:
                    self.redirect = action.argument
                case Effect.BCC:
                    self.extra_bcc.append(action.argument)
                case Effect.PREPEND:
                    self.prepended.append(action.argument)

    def drop(self) -> None:
        """It ends without a message."""
        if self.passage is not None:
            self.passage.close()
        if self.spool is not None:
            self.spool.discard()
            self.spool = None
