"""The lines that smtpd(8) writes about the filter before the queue."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.maillog.smtpd import printable


def cannot_connect(name: str, problem: str) -> str:
    return f"connect to proxy filter {name}: {problem}"


def rejected(name: str, command: str, reply: Sequence[str]) -> str:
    """A command that the filter did not take; reply are the lines of its answer."""
    return f'proxy {name} rejected "{printable(command)}": "{"??".join(map(printable, reply))}"'


def lost_connection(name: str) -> str:
    return f"lost connection with proxy {name}"


def timeout(name: str) -> str:
    return f"timeout talking to proxy {name}"


def garbage(name: str, text: str) -> str:
    return f"received garbage from proxy {name}: {printable(text)}"


def outcome(reply: str, about: str, *, is_accepted: bool) -> str:
    """What became of a message."""
    return f"proxy-{'accept' if is_accepted else 'reject'}: END-OF-MESSAGE: {printable(reply)}{about}"
