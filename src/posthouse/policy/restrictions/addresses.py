"""Restrictions on the form and the domain of sender and recipient (smtpd_sender_restrictions, ..._recipient_...)."""

from __future__ import annotations

from posthouse.mail.address import is_valid_hostname
from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Refuse
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import RECIPIENT, SENDER, Check
from posthouse.policy.domains import check_mail_domain
from posthouse.policy.recipients import check_recipient_exists, check_sender_exists


def _refuse_unless_full(check: Check, address: str | None, what: str) -> Answer:
    """A full address has a domain with a dot in it, or an address literal. "" and bare postmaster are as they are."""
    if not address or (what is RECIPIENT and address.lower() == "postmaster"):
        return None
    domain = address.rpartition("@")[2] if "@" in address else ""
    if domain.startswith("[") and domain.endswith("]"):
        return None
    bare = domain.removesuffix(".")
    if "." in bare and is_valid_hostname(bare):
        return None
    code = check.means.code("non_fqdn_reject_code")
    dsn = "5.5.2"
    return Refuse(Status(dsn, code, f"<{address}>: {what} rejected: need fully-qualified address"))


@restriction(stages=Stage.WITH_SENDER)
def reject_non_fqdn_sender(check: Check) -> Answer:
    """Refuse a sender without a full domain name (non_fqdn_reject_code)."""
    return _refuse_unless_full(check, check.request.sender, SENDER)


@restriction(stages=Stage.WITH_RECIPIENT)
def reject_non_fqdn_recipient(check: Check) -> Answer:
    """Refuse a recipient without a full domain name (non_fqdn_reject_code)."""
    return _refuse_unless_full(check, check.recipient, RECIPIENT)


@restriction("reject_unknown_address", stages=Stage.WITH_SENDER, needs_dns=True)
async def reject_unknown_sender_domain(check: Check) -> Answer:
    """Refuse a sender whose domain is not ours and has neither mail exchanger nor address
    (unknown_address_reject_code; after a DNS problem unknown_address_tempfail_action).
    """
    return await check_mail_domain(check, check.request.sender, SENDER)


@restriction(stages=Stage.WITH_RECIPIENT, needs_dns=True)
async def reject_unknown_recipient_domain(check: Check) -> Answer:
    """The same for the recipient's domain."""
    return await check_mail_domain(check, check.recipient, RECIPIENT)


@restriction("check_recipient_maps", stages=Stage.WITH_RECIPIENT)
async def reject_unlisted_recipient(check: Check) -> Answer:
    """Refuse a recipient that the tables of its address class do not list."""
    if check.recipient is None:
        return None
    return await check_recipient_exists(check, check.recipient)


@restriction(stages=Stage.WITH_SENDER)
async def reject_unlisted_sender(check: Check) -> Answer:
    """Refuse a sender in a domain of ours that the tables of its class do not list."""
    if check.request.sender is None:
        return None
    return await check_sender_exists(check, check.request.sender)
