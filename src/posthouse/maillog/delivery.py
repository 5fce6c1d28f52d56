"""The line that says what became of one recipient, as every delivery agent of Postfix writes it."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.address import quote_address
from posthouse.mail.envelope import Recipient
from posthouse.mail.outcome import Bounced, Outcome, Sent


@dataclass(frozen=True, slots=True)
class Times:
    """Unix times (s): arrival, taken up by qmgr, given to the agent, connection stood (0.0 none), finished."""

    arrival: float
    active: float
    handed_over: float
    connected: float
    finished: float


def delay(seconds: float, limit: int = 2) -> str:
    """A duration (s) with two significant digits, at most limit of them after the point: 0.13, 1.3, 12."""
    if seconds <= 0:
        return "0"
    if seconds >= 9.95:
        return str(int(seconds + 0.5))
    places = 1
    bound = 0.995
    while seconds < bound and places < limit:
        places, bound = places + 1, bound / 10
    text = f"{seconds:.{min(places, limit)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def delays(times: Times, limit: int = 2) -> str:
    """Before qmgr took it up / in the active queue / setting up the connection / transmission (postconf(5))."""
    waited = times.handed_over - times.active
    set_up = times.connected - times.handed_over if times.connected else 0.0
    sending = times.finished - (times.connected or times.handed_over)
    return "/".join(delay(part, limit) for part in (times.active - times.arrival, waited, set_up, sending))


def word(outcome: Outcome) -> str:
    """The word for an outcome."""
    if isinstance(outcome, Sent):
        return "sent"
    return "bounced" if isinstance(outcome, Bounced) else "deferred"


def status(queue_id: str, recipient: Recipient, outcome: Outcome, times: Times, said: str) -> str:
    """QID: to=<x>, orig_to=<y>, relay=..., delay=0.12, delays=a/b/c/d, dsn=2.0.0, status=sent (250 Ok)."""
    original = recipient.original
    orig_to = ""
    if original and original.lower() != recipient.address.lower():
        orig_to = f"orig_to=<{quote_address(original)}>, "
    return (
        f"{queue_id}: to=<{quote_address(recipient.address)}>, {orig_to}relay={outcome.relay},"
        f" delay={delay(times.finished - times.arrival)}, delays={delays(times)}, dsn={outcome.status.dsn},"
        f" status={said} ({outcome.status.text})"
    )
