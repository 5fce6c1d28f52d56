"""What a delivery attempt did for one recipient (RFC 3464 calls these actions)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.status import Status


@dataclass(frozen=True, slots=True)
class Sent:
    """Delivered, or handed on. relay as in the log ("virtual", "mx.example.net[192.0.2.1]:25").

    status.text is the log's "(delivered to maildir)". expanded: an alias was replaced by its members.
    deliverable: a probe found that it would have been delivered, nothing was. dsn_passed: the next hop took over the
    duty to notify of success, so none is sent from here.
    """

    status: Status
    relay: str = "none"
    expanded: bool = False
    deliverable: bool = False
    dsn_passed: bool = False
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now; try again later. remote_mta and diagnostic go to a delay notice ("smtp; 450 4.2.0 ...")."""

    status: Status
    relay: str = "none"
    remote_mta: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Bounced:
    """Never. The sender is told, unless the recipient's NOTIFY or the null sender says otherwise."""

    status: Status
    relay: str = "none"
    remote_mta: str = ""
    diagnostic: str = ""


Outcome = Sent | Deferred | Bounced
