"""Log lines of bounce(8)."""

from __future__ import annotations

_KINDS = {
    "failure": "non-delivery",
    "delay": "delay",
    "success": "delivery status",
    "verify": "delivery status",
}


def notification(queue_id: str, kind: str, new_queue_id: str, *, to_postmaster: bool) -> str:
    """Kind is the template's name; new_queue_id is the notice's own."""
    return f"{queue_id}: {'postmaster' if to_postmaster else 'sender'} {_KINDS[kind]} notification: {new_queue_id}"


def discarded(queue_id: str) -> str:
    """A postmaster notice that cannot be delivered ends here."""
    return f"{queue_id}: undeliverable postmaster notification discarded"


def nobody_to_tell(queue_id: str) -> str:
    """A report of success that the null sender asked for."""
    return f"{queue_id}: not sending trace/success notification for single-bounce message"
