"""A scan service of master.cf: smtpd in front, with restrictions fit for a filter, and the scanner as the one who takes
the mail; or a milter.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace

from posthouse.backstage.scan import ScanIntake
from posthouse.backstage.scan_milter import ScanMilter
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.agent import build_agent
from posthouse.errors import ConfigError
from posthouse.filters.scanner.rules import ScanRules, scan_rules
from posthouse.receive.smtpd.service import SmtpdService
from posthouse.receive.smtpd.verbs import all_verbs
from posthouse.services.delivery import DeliveryAgent
from posthouse.services.house import House

COMMAND = "scan"

# What the -o lines of master.cf may change, and main.cf's own values do not: this listener is not for the world.
_DEFAULTS = {
    "mynetworks": "127.0.0.0/8 [::1]/128",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_recipient_restrictions": "permit_mynetworks, reject",
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8 [::1]/128",
    "smtpd_authorized_xclient_hosts": "",
    "smtpd_tls_security_level": "none",
    "smtpd_sasl_auth_enable": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_hard_error_limit": "1000",
    "smtpd_error_sleep_time": "0",
    "smtpd_reject_unlisted_recipient": "no",
    "smtpd_reject_unlisted_sender": "no",
} | dict.fromkeys(
    (
        "smtpd_client_restrictions",
        "smtpd_helo_restrictions",
        "smtpd_sender_restrictions",
        "smtpd_data_restrictions",
        "smtpd_end_of_data_restrictions",
        "smtpd_milters",
        "smtpd_proxy_filter",
        "content_filter",
    ),
    "",
)
# The next hop hears who the client was, as from amavisd; it is an address, and nothing is looked up.
_FORWARDING = {"smtp_send_xforward_command": "yes", "lmtp_send_xforward_command": "yes"}


def is_milter(service: Service, house: House) -> bool:
    """Whether a scan service is spoken to as a milter."""
    return house.settings_of(service).text("posthouse_scan_protocol") == "milter"


@dataclass(frozen=True, slots=True)
class ScanService:
    """The listener of a scan service, and the agent that it hands mail on with."""

    listener: SmtpdService
    agent: DeliveryAgent


def scan_service(service: Service, house: House) -> ScanService:
    """A scan service that is spoken to as a mail server. Raises ConfigError."""
    prefix = house.settings.text("syslog_name")
    defaults = _DEFAULTS | {"syslog_name": f"{prefix}/scan"}
    settings = house.settings.with_overrides(defaults | service.options, service.name)
    named = _named(service, house)
    rules = scan_rules(named)
    agent = _forwarding_agent(rules, house)
    intake = ScanIntake(rules, named, house, agent)
    listener = SmtpdService(service, settings, replace(house, intake=intake))
    listener.verbs = all_verbs()
    return ScanService(listener, agent)


def _named(service: Service, house: House) -> Settings:
    """main.cf with the service's -o lines; the log's name is "postfix/amavis", unless they say another."""
    return house.settings.with_overrides(
        {"syslog_name": house.settings.text("syslog_name")} | service.options, service.name
    )


def _forwarding_agent(rules: ScanRules, house: House) -> DeliveryAgent:
    service = house.service(rules.transport)
    if service is None:
        text = f"posthouse_scan_transport = {rules.transport}: master.cf has no service of that name"
        raise ConfigError(text, parameter="posthouse_scan_transport")
    settings = house.settings.with_overrides(_FORWARDING | service.options, service.name)
    return build_agent(service, settings, house)


def scan_milter(service: Service, house: House) -> ScanMilter:
    """A scan service that is spoken to as a milter. Raises ConfigError."""
    settings = _named(service, house)
    return ScanMilter(scan_rules(settings), settings, house)


async def listen(milter: ScanMilter, sock: socket.socket) -> asyncio.Server:
    """Serve on a listening socket, which is this server's from now on."""
    if sock.family == socket.AF_UNIX:
        return await asyncio.start_unix_server(milter.serve, sock=sock)
    return await asyncio.start_server(milter.serve, sock=sock)
