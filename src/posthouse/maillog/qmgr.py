"""The log lines of qmgr(8)."""

from __future__ import annotations

from posthouse.mail.address import quote_address


def active(queue_id: str, sender: str, size: int, count: int) -> str:
    return f"{queue_id}: from=<{quote_address(sender)}>, size={size}, nrcpt={count} (queue active)"


def removed(queue_id: str) -> str:
    return f"{queue_id}: removed"


def expired(queue_id: str, sender: str, *, forced: bool = False) -> str:
    word = "force-expired" if forced else "expired"
    return f"{queue_id}: from=<{quote_address(sender)}>, status={word}, returned to sender"


def skipped(queue_id: str) -> str:
    return f"{queue_id}: skipped, still being delivered"


def no_agent(transport: str) -> str:
    return f"connect to transport private/{transport}: No such file or directory"


def agent_failed(queue_id: str, transport: str, error: BaseException) -> str:
    return f"{queue_id}: transport {transport}: {type(error).__name__}: {error}"


def cannot_record(queue_id: str, reason: str) -> str:
    return f"{queue_id}: cannot record its delivery, trying again: {reason}"


def cannot_read_queue(reason: str) -> str:
    return f"cannot read the queue: {reason}"


def damaged(queue_id: str) -> str:
    return f"{queue_id}: cannot be read from the queue, put on hold"


def picked_up_again(queue_id: str, uid: int, sender: str, former: str) -> str:
    """Pickup's line for mail that postsuper -r sent through cleanup again."""
    return f"{queue_id}: uid={uid} from=<{quote_address(sender)}> orig_id={former}"
