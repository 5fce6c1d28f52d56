"""Restrictions that ask an access table about client, HELO name, sender, recipient, login, certificate (access(5))."""

from __future__ import annotations

from posthouse.policy import check as names
from posthouse.policy.access import (
    NOT_FOUND,
    first_answer,
    look_up_address,
    look_up_domain,
    look_up_host,
)
from posthouse.policy.answer import Answer
from posthouse.policy.catalogue import Permits, Stage, Takes, restriction
from posthouse.policy.check import Check
from posthouse.policy.restrictions.client import shows_certificate
from posthouse.policy.search_order import CERTIFICATE, PUBLIC_KEY
from posthouse.policy.sender_logins import is_login_offered
from posthouse.policy.server_access import look_up_servers
from posthouse.policy.tables import AccessTable

_ANYBODY = Permits.ANY_CLIENT


def _or_nothing(answer: object) -> Answer:
    return None if answer is NOT_FOUND else answer  # type: ignore[return-value]


@restriction(permits=_ANYBODY, takes=Takes.TABLE)
async def check_client_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the client's name and its parent domains, then its address and networks."""
    request = check.request
    return await look_up_host(check, table, (request.client_name, request.client_address), (check.client, names.CLIENT))


@restriction(permits=_ANYBODY, takes=Takes.TABLE)
async def check_reverse_client_hostname_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the client's name as its address gives it (not confirmed), then its address."""
    request = check.request
    subject = request.reverse_client_name
    return await look_up_host(
        check, table, (request.reverse_client_name, request.client_address), (subject, names.REVERSE_CLIENT)
    )


@restriction(permits=_ANYBODY, takes=Takes.TABLE, stages=Stage.WITH_HELO)
async def check_helo_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the HELO name and its parent domains."""
    helo = check.request.helo_name
    if helo is None:
        return None
    return _or_nothing(await look_up_domain(check, table, helo, (helo, names.HELO)))


@restriction(permits=_ANYBODY, takes=Takes.TABLE, stages=Stage.WITH_SENDER)
async def check_sender_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the sender; the null sender is looked up as smtpd_null_access_lookup_key."""
    sender = check.request.sender
    if sender is None:
        return None
    if sender == "":
        key = check.means.settings.text("smtpd_null_access_lookup_key")
        return _or_nothing(await first_answer(check, table, (key,), ("", names.SENDER)))
    return await look_up_address(check, table, sender, names.SENDER)


@restriction(permits=_ANYBODY, takes=Takes.TABLE, stages=Stage.WITH_RECIPIENT)
async def check_recipient_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the recipient."""
    if not check.recipient:
        return None
    return await look_up_address(check, table, check.recipient, names.RECIPIENT)


@restriction(permits=_ANYBODY, takes=Takes.TABLE, stages=Stage.ETRN)
async def check_etrn_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the domain of an ETRN command and its parents."""
    domain = check.request.etrn_domain
    if not domain:
        return None
    return _or_nothing(await look_up_domain(check, table, domain, (domain, names.ETRN)))


@restriction(permits=_ANYBODY, takes=Takes.TABLE)
async def check_sasl_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the client's login name."""
    if not is_login_offered(check, "check_sasl_access"):
        return None
    login = check.request.sasl_username
    if not login:
        return None
    return _or_nothing(await first_answer(check, table, (login,), (login, names.LOGIN)))


@restriction(permits=_ANYBODY, takes=Takes.TABLE)
async def check_ccert_access(check: Check, table: AccessTable) -> Answer:
    """Ask a table about the fingerprints of the client's certificate and of its public key."""
    request = check.request
    if not shows_certificate(check, "check_ccert_access"):
        return None
    prints = {CERTIFICATE: request.ccert_fingerprint, PUBLIC_KEY: request.ccert_pubkey_fingerprint}
    subject = (request.notes.get("ccert_name") or check.client, names.CERTIFICATE)
    for what in table.search_order:
        answer = await first_answer(check, table, (prints[what],), subject)
        if answer is not NOT_FOUND:
            return _or_nothing(answer)
    return None


def _declare_server_lookups() -> None:
    """check_{client,reverse_client_hostname,helo,sender,recipient}_{a,mx,ns}_access."""
    for party in ("client", "reverse_client_hostname", "helo", "sender", "recipient"):
        for kind in ("a", "mx", "ns"):
            name = f"check_{party}_{kind}_access"
            function = _server_lookup(party, kind.upper(), name)
            stages = {
                "helo": Stage.WITH_HELO,
                "sender": Stage.WITH_SENDER,
                "recipient": Stage.WITH_RECIPIENT,
            }.get(party, Stage.ANY)
            restriction(takes=Takes.TABLE, stages=stages, needs_dns=True)(function)


_WORDS = {"A": "addresses", "MX": "mail exchangers", "NS": "name servers"}


def _server_lookup(party: str, kind: str, name: str):  # type: ignore[no-untyped-def] # noqa: ANN202
    async def look_up(check: Check, table: AccessTable) -> Answer:
        domain, subject = _domain_of(check, party)
        if not domain:
            return None
        return await look_up_servers(check, table, (name, kind, domain), subject)

    look_up.__name__ = name
    look_up.__doc__ = (
        f"Ask a table about the {_WORDS[kind]} of the {party.replace('_', ' ')}'s domain: names and addresses.\n\n"
        "OK is not taken for an answer; a table says DUNNO to make an exception."
    )
    return look_up


def _domain_of(check: Check, party: str) -> tuple[str, tuple[str, str]]:
    """The domain in question ("" where there is none), and (name, class) for the texts."""
    request = check.request
    match party:
        case "client":
            name = request.client_name
            return ("" if name == "unknown" else name), (name, names.CLIENT)
        case "reverse_client_hostname":
            name = request.reverse_client_name
            return ("" if name == "unknown" else name), (name, names.REVERSE_CLIENT)
        case "helo":
            return request.helo_name or "", (request.helo_name or "", names.HELO)
        case "sender":
            sender = request.sender or ""
            return sender.rpartition("@")[2], (sender, names.SENDER)
        case _:
            recipient = check.recipient or ""
            return recipient.rpartition("@")[2], (recipient, names.RECIPIENT)


_declare_server_lookups()
