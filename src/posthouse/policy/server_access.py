"""Asks an access table about the hosts that serve a domain (check_*_{a,mx,ns}_access)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from posthouse.lookup.client_keys import network_keys
from posthouse.mail.address import literal_address
from posthouse.policy.access import NOT_FOUND, first_answer, look_up_domain
from posthouse.policy.answer import Answer, Permit, server_error
from posthouse.policy.check import Check
from posthouse.policy.domains import ask
from posthouse.policy.tables import AccessTable
from posthouse.system.dns_answers import Answer as DnsAnswer
from posthouse.system.dns_answers import Missing, NotFound, Result

_MAX_HOSTS = 100


async def look_up_servers(
    check: Check, table: AccessTable, question: tuple[str, str, str], subject: tuple[str, str]
) -> Answer:
    """Question is (restriction, record type, domain). Names and addresses of the domain's servers are looked up until
    one is found. OK is a mistake in the configuration: a spammer chooses these servers himself.
    """
    restriction, kind, domain = question
    async for host, addresses in _servers(check, kind, domain, subject):
        answer = await look_up_domain(check, table, host, subject) if host else NOT_FOUND
        if answer is NOT_FOUND:
            for address in addresses:
                answer = await first_answer(check, table, network_keys(address), subject)
                if answer is not NOT_FOUND:
                    break
        if isinstance(answer, Permit) and not check.discarded:
            _complain_about_ok(check, restriction, subject[0])
            raise server_error()
        if answer is not NOT_FOUND:
            return answer  # type: ignore[return-value]
    return None


def _complain_about_ok(check: Check, restriction: str, target: str) -> None:
    warn = check.means.log.warning
    warn(f"restriction {restriction} returns OK for {target}")
    warn("this is not allowed for security reasons")
    warn("use DUNNO instead of OK if you want to make an exception")


async def _servers(
    check: Check, kind: str, domain: str, subject: tuple[str, str]
) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """Host name and addresses of each server."""
    literal = literal_address(domain)
    if literal:
        yield "", (literal,)
        return
    if domain.startswith("["):
        return
    hosts = [domain]
    if kind != "A":
        asked, result = await _find_servers(check, kind, domain)
        if isinstance(result, DnsAnswer):
            hosts = [mx.host for mx in result.exchangers] if kind == "MX" else list(result.texts)
        elif not (kind == "MX" and isinstance(result, NotFound)):
            check.means.log.warning(f"Unable to look up {kind} host for {asked or subject[0]}: {result.reason}")
            return
    for host in hosts[:_MAX_HOSTS]:
        if not host:
            continue
        found = await check.means.house.dns.addresses(host, check.means.settings.items("inet_protocols"))
        if not isinstance(found, DnsAnswer):
            if kind != "A":
                what = f"{subject[1]} {subject[0]}"
                check.means.log.warning(f"Unable to look up {kind} host {host} for {what}: {_why(found)}")
            yield host, ()
            continue
        yield host, found.texts


def _why(found: Result) -> str:
    """The system's words (getaddrinfo(3))."""
    if not isinstance(found, NotFound):
        return "Temporary failure in name resolution"
    if found.why is Missing.NO_NAME:
        return "Name or service not known"
    return "No address associated with hostname"


async def _find_servers(check: Check, kind: str, domain: str) -> tuple[str, Result]:
    """MX of the domain; NS of the domain or of the nearest parent that has some. The domain that was asked last ("" for
    none left) and what was found.
    """
    result = await ask(check, domain, kind)
    while kind == "NS" and isinstance(result, NotFound):
        domain = domain.partition(".")[2]
        if not domain:
            break
        result = await ask(check, domain, kind)
    return domain, result
