"""Under which names greylisting knows a client, a sender and a recipient (postgrey(8)); pure functions."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import lru_cache

_BATV = re.compile(r"prvs=[^=]+=(.+)", re.DOTALL)
_NUMBER = re.compile(r"\b\d+\b", re.ASCII)


@lru_cache(maxsize=4096)
def network(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """The address with all bits after the first ipv4_bits (ipv6_bits) cleared; IPv6 in eight groups without "::".

    Raises ValueError for what is no address.
    """
    found = ipaddress.ip_address(address)
    bits = ipv4_bits if found.version == 4 else ipv6_bits
    keep = found.max_prefixlen - bits
    cleared = type(found)(int(found) >> keep << keep)
    if isinstance(cleared, ipaddress.IPv4Address):
        return str(cleared)
    return ":".join(f"{int(group, 16):x}" for group in cleared.exploded.split(":"))


def sender_key(sender: str) -> str:
    """The sender in lower case, without what changes from mail to mail: extension, BATV tag, numbers."""
    local, at, domain = sender.lower().rpartition("@")
    if not at:
        return sender.lower()
    tagged = _BATV.fullmatch(local)
    if tagged is not None:
        local = tagged[1]
    local = local[:1] + local[1:].partition("+")[0]
    return f"{_NUMBER.sub('#', local)}@{domain}"


def recipient_key(recipient: str) -> str:
    """The recipient in lower case."""
    return recipient.lower()


def domain_of(address: str) -> str:
    """What stands behind the last @; the whole where there is none."""
    return address.rpartition("@")[2]


def hidden(key: str) -> str:
    """A key of which nothing can be read (--privacy): its SHA-1."""
    return hashlib.sha1(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
