"""Is there such a domain? What reject_unknown_sender_domain, ..._recipient_domain and ..._helo_hostname ask the DNS."""

from __future__ import annotations

from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Postpone, Refuse, Unless
from posthouse.policy.check import HELO, SENDER, Check
from posthouse.services.resolving import AddressClass
from posthouse.system import dns_answers
from posthouse.system.dns_answers import Answer as DnsAnswer
from posthouse.system.dns_answers import DnsFailed, Missing, NotFound, Result


async def check_mail_domain(check: Check, address: str | None, what: str) -> Answer:
    """Refuse an address whose domain, not one whose mail ends here, cannot receive mail."""
    if not address or "@" not in address:
        return None
    resolved = await check.resolve(address)
    domain = resolved.recipient.rpartition("@")[2]
    if not domain or (domain.startswith("[") and domain.endswith("]")):
        return None
    if resolved.address_class not in (AddressClass.DEFAULT, AddressClass.RELAY):
        return None
    return await _check_mailhost(check, domain, address, what)


async def _check_mailhost(check: Check, domain: str, address: str, what: str) -> Answer:
    result = await ask_filtered(check, domain, "MX")
    if isinstance(result, DnsAnswer) and result.exchangers and result.exchangers[0].host == "":
        return _refuse_null_mx(domain, address, what)
    kinds = _kinds(check)
    for kind in kinds:
        if not isinstance(result, NotFound) or result.why is Missing.NO_NAME:
            break
        result = await ask_filtered(check, domain, kind)
    dsn = "4.1.8" if what is SENDER else "4.1.2"
    text = f"<{address}>: {what} rejected: "
    match result:
        case NotFound():
            return Refuse(Status(dsn, check.means.code("unknown_address_reject_code"), f"{text}Domain not found"))
        case DnsFailed(reason=reason) if reason.startswith("Malformed"):
            return Refuse(
                Status(dsn, check.means.code("unknown_address_reject_code"), f"{text}Malformed DNS server reply")
            )
        case DnsFailed(reason=dns_answers.DROPS_ALL):
            check.means.log.warning(f"{domain}: MX or address lookup error: {result.reason}")
            return None
        case DnsFailed():
            return _later(check, "unknown_address_tempfail_action", Status(dsn, 450, f"{text}Domain not found"))
        case _:
            return None


def _refuse_null_mx(domain: str, address: str, what: str) -> Refuse:
    code, dsn = (550, "5.7.27") if what is SENDER else (556, "5.1.10")
    return Refuse(Status(dsn, code, f"<{address}>: {what} rejected: Domain {domain} does not accept mail (nullMX)"))


async def check_helo_resolves(check: Check, name: str) -> Answer:
    """Refuse a HELO name that has neither address nor mail exchanger."""
    result: Result = NotFound(name, "A", Missing.NO_NAME)
    for kind in (*_kinds(check), "MX"):
        result = await ask_filtered(check, name, kind)
        if not isinstance(result, NotFound) or result.why is Missing.NO_NAME:
            break
    text = f"<{name}>: {HELO} rejected: Host not found"
    match result:
        case NotFound():
            code = check.means.code("unknown_hostname_reject_code")
            return Refuse(Status("4.7.1", code, text))
        case DnsFailed(reason=dns_answers.DROPS_ALL):
            check.means.log.warning(f"{name}: address or MX lookup error: {result.reason}")
            return None
        case DnsFailed():
            return _later(check, "unknown_helo_hostname_tempfail_action", Status("4.7.1", 450, text))
        case _:
            return None


def _later(check: Check, action_parameter: str, status: Status) -> Answer:
    """A temporary error: defer at once, or only where the mail would otherwise be let in."""
    if check.means.settings.text(action_parameter) == "defer":
        return Refuse(status)
    return Postpone(Unless.PERMIT, status)


def _kinds(check: Check) -> tuple[str, ...]:
    return check.means.address_kinds()


async def ask(check: Check, name: str, kind: str) -> Result:
    """A question to the DNS, noted in the trace."""
    result: Result = await check.means.house.dns.lookup(name, kind)
    if check.trace is not None:
        found = " ".join(map(str, result.records)) if isinstance(result, DnsAnswer) else result.reason
        check.learn("dns", kind, name, found)
    return result


async def ask_filtered(check: Check, name: str, kind: str) -> Result:
    """The same, less the records that smtpd_dns_reply_filter ignores."""
    result = await ask(check, name, kind)
    left = await check.means.dns_reply_filter.apply(result)
    if check.trace is not None and left is not result:
        found = " ".join(map(str, left.records)) if isinstance(left, DnsAnswer) else left.reason
        check.learn("smtpd_dns_reply_filter", kind, name, found)
    return left
