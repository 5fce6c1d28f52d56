"""Restrictions on the name that a client gives in HELO or EHLO (smtpd_helo_restrictions)."""

from __future__ import annotations

from posthouse.mail.address import is_valid_hostaddr, is_valid_hostname, literal_address
from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Refuse
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import HELO, Check
from posthouse.policy.domains import check_helo_resolves


def _refuse(check: Check, dsn: str, parameter: str, text: str) -> Refuse:
    name = check.request.helo_name
    return Refuse(Status(dsn, check.means.code(parameter), f"<{name}>: {HELO} rejected: {text}"))


def _bad_literal(check: Check, name: str) -> Answer:
    """An address literal must hold an address."""
    if literal_address(name):
        return None
    return _refuse(check, "5.5.2", "invalid_hostname_reject_code", "invalid ip address")


@restriction("reject_invalid_hostname", stages=Stage.WITH_HELO)
def reject_invalid_helo_hostname(check: Check) -> Answer:
    """Refuse a HELO name that is malformed (invalid_hostname_reject_code)."""
    name = check.request.helo_name
    if not name:
        return None
    if name.startswith("["):
        return _bad_literal(check, name)
    bare = name.removesuffix(".")
    if is_valid_hostname(bare) or is_valid_hostaddr(bare):
        return None
    return _refuse(check, "5.5.2", "invalid_hostname_reject_code", "Invalid name")


@restriction("reject_non_fqdn_hostname", stages=Stage.WITH_HELO)
def reject_non_fqdn_helo_hostname(check: Check) -> Answer:
    """Refuse a HELO name that is not a full domain name or address literal (non_fqdn_reject_code)."""
    name = check.request.helo_name
    if not name:
        return None
    if name.startswith("["):
        return _bad_literal(check, name)
    bare = name.removesuffix(".")
    if "." in bare and is_valid_hostname(bare):
        return None
    return _refuse(check, "5.5.2", "non_fqdn_reject_code", "need fully-qualified hostname")


@restriction("reject_unknown_hostname", stages=Stage.WITH_HELO, needs_dns=True)
async def reject_unknown_helo_hostname(check: Check) -> Answer:
    """Refuse a HELO name without address or mail exchanger (unknown_hostname_reject_code; after a DNS problem
    unknown_helo_hostname_tempfail_action).
    """
    name = check.request.helo_name
    if not name:
        return None
    if name.startswith("["):
        return _bad_literal(check, name)
    return await check_helo_resolves(check, name)
