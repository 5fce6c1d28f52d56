"""The lines about milters that smtpd(8) and cleanup(8) write to the log."""

from __future__ import annotations

HOLD = "milter triggers HOLD action"
DISCARD = "milter triggers DISCARD action"
NOBODY = "milter has deleted all recipients"


def cannot_connect(name: str, problem: str) -> str:
    return f"connect to Milter service {name}: {problem}"


def problem(name: str, text: str) -> str:
    return f"milter {name}: {text}"


def cannot_read(event: str, reason: str) -> str:
    """Event is "SMFIC_MAIL"; the end of the connection has the reason that Postfix writes."""
    return f"can't read {event} reply packet header: {reason}"


def discard_not_allowed(name: str) -> str:
    return f"milter {name}: DISCARD action is not allowed for connect or helo"


def malformed_reply(name: str, reply: str) -> str:
    return f"milter {name}: malformed reply: {reply}"


def bad_sender_parameter(word: str) -> str:
    return f'Ignoring bad ESMTP parameter "{word}" in SMFI_CHGFROM request'


def ignored_parameter(queue_id: str, word: str) -> str:
    return f'{queue_id}: ignoring ESMTP argument from Milter or header/body_checks: "{word}"'


def recipient_not_refusable(queue_id: str) -> str:
    """A milter of non_smtpd_milters refused a recipient of mail whose sender does not wait for an answer."""
    return f"{queue_id}: milter configuration error: can't reject recipient in non-smtpd(8) submission"


def not_accepted(queue_id: str) -> str:
    return f"{queue_id}: message not accepted, try again later"


def no_field(queue_id: str, text: str) -> str:
    shown = text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
    return f"{queue_id}: ignoring what is no header field from Milter: {shown[:100]}"
