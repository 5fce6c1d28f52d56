"""Restrictions that keep the relay closed: is the recipient ours? (smtpd_relay_restrictions)"""

from __future__ import annotations

from posthouse.mail.status import Status
from posthouse.policy.answer import PERMIT, Answer, Refuse
from posthouse.policy.backup_mx import is_backup_mx
from posthouse.policy.catalogue import Permits, Stage, restriction
from posthouse.policy.check import Check
from posthouse.policy.destinations import is_authorized_destination


@restriction(permits=Permits.OUR_DESTINATION, stages=Stage.WITH_RECIPIENT)
async def permit_auth_destination(check: Check) -> Answer:
    """Permit recipients in our own domains and in relay_domains, unless the address carries a route to elsewhere."""
    if check.recipient is None:
        return await _etrn_domain_is_ours(check)
    return PERMIT if await is_authorized_destination(check, check.recipient) else None


async def _etrn_domain_is_ours(check: Check) -> Answer:
    domain = check.request.etrn_domain
    if not domain:
        return None
    return PERMIT if await is_authorized_destination(check, f"@{domain}") else None


@restriction(stages=Stage.WITH_RECIPIENT, refuses_strangers=True)
async def reject_unauth_destination(check: Check) -> Answer:
    """Refuse recipients that are neither in our own domains nor in relay_domains (relay_domains_reject_code)."""
    return await _refuse_elsewhere(check, "5.7.1", 0)


@restriction(stages=Stage.WITH_RECIPIENT, refuses_strangers=True)
async def defer_unauth_destination(check: Check) -> Answer:
    """As reject_unauth_destination, but for now (relay_domains_reject_code less 100)."""
    return await _refuse_elsewhere(check, "4.7.1", 100)


async def _refuse_elsewhere(check: Check, dsn: str, less: int) -> Answer:
    recipient = check.recipient
    if recipient is None or await is_authorized_destination(check, recipient):
        return None
    code = check.means.code("relay_domains_reject_code") - less
    return Refuse(Status(dsn, code, f"<{recipient}>: Relay access denied"))


@restriction(permits=Permits.OUR_DESTINATION, stages=Stage.WITH_RECIPIENT, needs_dns=True)
async def permit_mx_backup(check: Check) -> Answer:
    """Permit recipients whose domain names this machine among its mail exchangers, but not as the first one; where
    permit_mx_backup_networks is set, a first one must be in those networks.
    """
    recipient = check.recipient
    if recipient is None:
        return None
    return await is_backup_mx(check, recipient)


@restriction(permits=Permits.OUR_DESTINATION, stages=Stage.WITH_RECIPIENT, refuses_strangers=True)
async def check_relay_domains(check: Check) -> Answer:
    """An older form: permit recipients that are ours to take in, refuse all others. Use reject_unauth_destination."""
    check.means.log.warning(
        'support for restriction "check_relay_domains" will be removed from '
        f'{check.means.settings.text("mail_name")}; use "reject_unauth_destination" instead'
    )
    recipient = check.recipient
    if recipient is None:
        return None
    if await is_authorized_destination(check, recipient):
        return PERMIT
    return await _refuse_elsewhere(check, "5.7.1", 0)
