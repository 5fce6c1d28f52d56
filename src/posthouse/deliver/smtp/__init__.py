"""Mail to other hosts: the smtp and lmtp delivery agents (smtp(8), lmtp(8))."""

from __future__ import annotations

from posthouse.deliver.smtp.client import build

__all__ = ["build"]
