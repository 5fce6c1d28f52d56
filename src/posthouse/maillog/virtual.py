"""Log lines of virtual(8)."""

from __future__ import annotations


def lookup_failed(parameter: str, address: str, reason: str) -> str:
    """A table could not say."""
    return f"table {parameter}: lookup {address}: {reason}"


def no_identity(address: str, parameter: str) -> str:
    """A mailbox without an owner."""
    return f"recipient {address}: not found in {parameter}"


def bad_identity(address: str, what: str, value: str, parameter: str) -> str:
    """What is "uid" or "gid"."""
    return f"recipient {address}: bad {what} {value} in {parameter}"
