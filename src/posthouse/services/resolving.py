"""The joint to trivial-rewrite: complete an address, and say where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class AddressClass(Enum):
    """Postfix's address classes (ADDRESS_CLASS_README)."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a recipient goes. transport is a service of master.cf; nexthop as in transport(5) ("" for local ones is the
    domain). recipient is the address to deliver to. error is set, with transport "error", when the address is no good
    ("5.1.3 bad address syntax"); failed means that a table could not answer (try later). routed: the sender
    chose a route through the domain (user%other@domain, other!user@domain), see allow_untrusted_routing.
    """

    transport: str
    nexthop: str
    recipient: str
    address_class: AddressClass
    error: str = ""
    failed: bool = False
    routed: bool = False


class Rewriter(Protocol):
    """trivial-rewrite(8)."""

    async def rewrite(self, context: str, address: str) -> str:
        """The address completed for the context "local" (append_at_myorigin, append_dot_mydomain, source routes,
        percent hack ...) or "remote" (remote_header_rewrite_domain), in internal form. "" stays "".
        """
        ...

    async def resolve(self, sender: str, address: str, *, probe: bool = False) -> Resolution:
        """Class, transport and next hop of a recipient address; sender serves sender_dependent_* maps. probe: the
        message only asks whether mail could be delivered (address_verify_transport_maps and its like apply).
        """
        ...
