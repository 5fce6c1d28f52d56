"""Lines of postgrey(8), which mail administrators' reports take apart."""

from __future__ import annotations

from collections.abc import Mapping

_SHOWN = ("client_name", "client_address", "sender", "recipient")


def action(passes: bool, reason: str, waited: int | None, attributes: Mapping[str, str]) -> str:
    """What was decided about one request."""
    words = ["action=pass" if passes else "action=greylist", f"reason={reason}"]
    if waited is not None:
        words.append(f"delay={waited}")
    words += [f"{name}={attributes[name]}" for name in _SHOWN if attributes.get(name)]
    return ", ".join(words)


def trusted(attributes: Mapping[str, str]) -> str:
    """A client has come again often enough to need it no more."""
    return f"whitelisted: {attributes.get('client_name', 'unknown')}[{attributes.get('client_address', '')}]"


def missing(attribute: str) -> str:
    """A request that lacks what greylisting needs."""
    return f"attribute missing: {attribute}"


def garbage(line: str) -> str:
    """A line of a request that is no name=value."""
    return f"ignoring garbage: <{line[:100]}>"


def wrong_request(request: str) -> str:
    """A request of another kind."""
    return f"unrecognized request type: '{request[:100]}'"


def store_trouble(problem: object) -> str:
    """The memory is broken or full: nobody is greylisted for it."""
    return f"greylisting is out of order, mail passes without it: {problem}"


def cleaned(count: int) -> str:
    """Old entries were forgotten."""
    return f"cleaning up old entries finished: {count} removed"
