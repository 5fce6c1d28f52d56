"""qmgr(8): what is delivered when, how often, and for how long."""

from __future__ import annotations

from posthouse.queue.qmgr.manager import QueueManager

__all__ = ["QueueManager"]
