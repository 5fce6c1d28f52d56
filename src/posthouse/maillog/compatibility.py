"""The lines that tell where mail was handled by a default of old (COMPATIBILITY_README)."""

from __future__ import annotations

from posthouse.maillog.cleanup import printable

_SETTING = "using backwards-compatible default setting"


def dot_appended(domain: str, completed: str) -> str:
    return f'{_SETTING} append_dot_mydomain=yes to rewrite "{printable(domain)}" to "{printable(completed)}"'


def relay_domain(domain: str) -> str:
    return f'{_SETTING} relay_domains=$mydestination to accept mail for domain "{printable(domain)}"'


def relay_address(address: str) -> str:
    return f'{_SETTING} relay_domains=$mydestination to accept mail for address "{printable(address)}"'


def flushed_domain(domain: str) -> str:
    return f'{_SETTING} relay_domains=$mydestination to flush mail for domain "{printable(domain)}"'


def subnet_client(client: str) -> str:
    return f'{_SETTING} mynetworks_style=subnet to permit request from client "{client}"'


def recipient_refused_first(recipient: str, client: str) -> str:
    """By smtpd_recipient_restrictions, before smtpd_relay_restrictions were asked."""
    return (
        f"{_SETTING} smtpd_relay_before_recipient_restrictions=no to reject recipient "
        f'"{printable(recipient)}" from client "{client}"'
    )


def non_ascii_address(whose: str, address: str, client: str) -> str:
    """Whose is "sender" or "recipient"."""
    wire = address.encode("utf-8", "surrogateescape")
    shown = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in wire)
    return f'{_SETTING} smtputf8_enable=no to accept non-ASCII {whose} address "{shown}" from {client}'
