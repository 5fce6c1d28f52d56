"""The lmtp delivery agent: smtp's twin that speaks LMTP (lmtp(8), RFC 2033)."""

from __future__ import annotations

from posthouse.deliver.smtp.client import build

__all__ = ["build"]
