"""The log lines of pickup(8)."""

from __future__ import annotations

from posthouse.mail.address import quote_address


def picked_up(queue_id: str, uid: int, sender: str) -> str:
    return f"{queue_id}: uid={uid} from=<{quote_address(sender)}>"


def refused(name: str, uid: int, reason: str) -> str:
    return f"maildrop/{name}: uid={uid}: not taken: {reason}"
