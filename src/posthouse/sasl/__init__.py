"""Who a client is: one file per smtpd_sasl_type, each with `open_service(settings) -> LoginService` (SASL_README)."""

from __future__ import annotations

import importlib

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.services.login import LoginService

TYPES = ("cyrus", "dovecot", "posthouse")


def open_login_service(settings: Settings) -> LoginService:
    """The service that smtpd_sasl_type names. Raises ConfigError for one that is not there."""
    kind = settings.text("smtpd_sasl_type")
    if kind not in TYPES:
        known = ", ".join(TYPES)
        raise ConfigError(f'unsupported SASL server implementation: "{kind}" ({known})', parameter="smtpd_sasl_type")
    module = importlib.import_module(f"posthouse.sasl.{kind}")
    service: LoginService = module.open_service(settings)
    return service
