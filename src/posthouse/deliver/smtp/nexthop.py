"""The next hops that transport(5) and relayhost name, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.errors import ConfigError

_FORM = re.compile(r"(?:\[([^]]*)\]|([^:\s]+))(?::([\w-]+))?\Z")


@dataclass(frozen=True, slots=True)
class NextHop:
    """One destination. host is a domain, a host name or an address; by_mx: its MX records say where.

    port is a number or a service name ("" the agent's default). path is a unix socket instead (LMTP). text is
    how it was written, by which tables of TLS policies and passwords have it.
    """

    host: str
    port: str = ""
    by_mx: bool = True
    path: str = ""
    text: str = ""


def parse_next_hops(text: str, *, lmtp: bool = False) -> list[NextHop]:
    """The destinations of a next hop, tried in this order. "[host]:port, other.example". Raises ConfigError."""
    if not text.strip(", \t"):
        raise ConfigError("no next-hop destination")
    return [_one(word, lmtp=lmtp) for word in re.split(r"[,\s]+", text.strip(", \t"))]


def _one(word: str, *, lmtp: bool) -> NextHop:
    if lmtp and word.startswith("unix:"):
        return NextHop("", by_mx=False, path=word[5:], text=word)
    if lmtp and word.startswith("inet:"):
        word = word[5:]
    # Differs from Postfix: this mail waits, and other mail goes on.
    if word.startswith("[") and "]" not in word:
        raise ConfigError(f'missing "]" in server description: {word}')
    match = _FORM.match(word)
    if match is None or not (match[1] or match[2]):
        raise ConfigError(f"bad next-hop destination: {word}")
    host = match[1] if match[1] is not None else match[2]
    if host[:5].lower() == "ipv6:":
        host = host[5:]
    return NextHop(host, match[3] or "", by_mx=match[1] is None and not lmtp, text=word)
