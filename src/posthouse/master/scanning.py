"""A scan service of master.cf: smtpd in front, with restrictions fit for a filter behind the queue, and the scanner as
the one who takes the mail.
"""

from __future__ import annotations

from dataclasses import replace

from posthouse.backstage.scan import ScanIntake
from posthouse.config.master_cf import Service
from posthouse.receive.smtpd.service import SmtpdService
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


def scan_service(service: Service, house: House) -> SmtpdService:
    """The listener of a scan service. Raises ConfigError."""
    prefix = house.settings.text("syslog_name")
    defaults = _DEFAULTS | {"syslog_name": f"{prefix}/scan"}
    settings = house.settings.with_overrides(defaults | service.options, service.name)
    named = house.settings.with_overrides({"syslog_name": prefix} | service.options, service.name)
    return SmtpdService(service, settings, replace(house, intake=ScanIntake(named, house)))
