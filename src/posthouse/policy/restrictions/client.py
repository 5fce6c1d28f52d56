"""Restrictions on the client: its address, its name, how it has proved who it is (smtpd_client_restrictions)."""

from __future__ import annotations

from posthouse.errors import LookupFailed
from posthouse.lookup.table import failure_warnings
from posthouse.mail.status import Status
from posthouse.maillog import compatibility
from posthouse.maillog import policy as texts
from posthouse.policy import check as names
from posthouse.policy.answer import PERMIT, Answer, Refuse, lookup_trouble
from posthouse.policy.catalogue import Permits, restriction
from posthouse.policy.check import Check


@restriction(permits=Permits.TRUSTED_CLIENT)
async def permit_mynetworks(check: Check) -> Answer:
    """Permit clients whose address (or name) is in mynetworks."""
    networks, request = check.means.mynetworks, check.request
    try:
        if networks.blocking:
            found = await networks.matches(request.client_name, request.client_address)
        else:
            found = networks.contains(request.client_name, request.client_address)
    except LookupFailed as problem:
        for text in failure_warnings(problem, request.client_address)[:-1]:
            check.means.log.warning(text)
        check.means.log.warning(f"mynetworks: {problem.table}: table lookup problem")
        raise lookup_trouble(check.client) from problem
    own = check.means.own_hosts
    if found and own is not None and not own.contains(request.client_name, request.client_address):
        check.means.log.info(compatibility.subnet_client(check.client))
    return PERMIT if found else None


@restriction(permits=Permits.TRUSTED_CLIENT)
def permit_inet_interfaces(check: Check) -> Answer:
    """Permit clients whose address is one of this machine's own (inet_interfaces)."""
    return PERMIT if check.request.client_address in check.means.own_addresses() else None


@restriction(permits=Permits.AUTHENTICATED_CLIENT)
def permit_sasl_authenticated(check: Check) -> Answer:
    """Permit clients that have logged in (RFC 4954)."""
    return PERMIT if check.request.sasl_username else None


@restriction(permits=Permits.AUTHENTICATED_CLIENT)
async def permit_tls_all_clientcerts(check: Check) -> Answer:
    """Permit clients whose certificate a trusted authority has issued, or whose fingerprint is in relay_clientcerts."""
    return PERMIT if "tls_trusted" in check.request.notes else await _known(check, "permit_tls_all_clientcerts")


@restriction(permits=Permits.AUTHENTICATED_CLIENT)
async def permit_tls_clientcerts(check: Check) -> Answer:
    """Permit clients whose certificate or public key has a fingerprint in relay_clientcerts."""
    return await _known(check, "permit_tls_clientcerts")


def shows_certificate(check: Check, restriction: str) -> bool:
    """Whether the client has shown a certificate; the log says where it could not, as nobody asks for it."""
    request, settings = check.request, check.means.settings
    if request.ccert_fingerprint:
        return True
    if request.encryption_protocol and not settings.flag("smtpd_tls_ask_ccert"):
        check.means.log.warning(texts.certificate_not_asked_for(restriction))
    return False


async def _known(check: Check, restriction: str) -> Answer:
    request = check.request
    if not shows_certificate(check, restriction):
        return None
    maps = check.means.maps("relay_clientcerts")
    for print_ in (request.ccert_fingerprint, request.ccert_pubkey_fingerprint):
        if not print_ or maps.empty:
            continue
        try:
            if await maps.find(print_) is not None:
                return PERMIT
        except LookupFailed as problem:
            check.means.log.warning(f"relay_clientcerts: lookup error for fingerprint '{print_}': {problem}")
            raise lookup_trouble(check.client) from problem
    return None


@restriction()
def permit_naked_ip_address(check: Check) -> Answer:
    """No longer does anything but complain; a bare address as HELO name proves nothing."""
    check.means.log.warning(
        "restriction permit_naked_ip_address is deprecated. Use permit_mynetworks or permit_sasl_authenticated instead"
    )
    return None


@restriction("reject_unknown_client")
def reject_unknown_client_hostname(check: Check) -> Answer:
    """Refuse clients whose address has no name, or whose name does not lead back to the address
    (unknown_client_reject_code; 450 after a DNS problem).
    """
    request = check.request
    if request.client_name != "unknown":
        return None
    return _unknown_client(check, request.client_name_code, ("4.7.25", "cannot find your hostname"))


@restriction()
def reject_unknown_reverse_client_hostname(check: Check) -> Answer:
    """Refuse clients whose address has no name at all (unknown_client_reject_code; 450 after a DNS problem)."""
    request = check.request
    if request.reverse_client_name != "unknown":
        return None
    return _unknown_client(check, request.reverse_client_name_code, ("4.7.1", "cannot find your reverse hostname"))


def _unknown_client(check: Check, name_code: int, problem: tuple[str, str]) -> Answer:
    code = check.means.code("unknown_client_reject_code") if name_code == 5 else 450
    address = check.request.client_address
    text = f"{names.CLIENT} rejected: {problem[1]}, [{address}]"
    return Refuse(Status(problem[0], code, text))
