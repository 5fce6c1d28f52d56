"""The macros that milters get of an SMTP session (MILTER_README, "Sendmail macro emulation")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.config.settings import Settings

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

_SETTINGS = {"j": "myhostname", "v": "milter_macro_v", "{daemon_name}": "milter_macro_daemon_name"}
_KNOWN = {  # what the request always knows
    "{client_name}": "client_name",
    "{client_ptr}": "reverse_client_name",
    "{daemon_port}": "server_port",
}
_IF_ANY = {  # what is left out where the session has none
    "{auth_type}": "sasl_method",
    "{auth_authen}": "sasl_username",
    "{auth_author}": "sasl_sender",
    "{tls_version}": "encryption_protocol",
    "{cipher}": "encryption_cipher",
    "{cipher_bits}": "encryption_keysize",
    "{cert_subject}": "ccert_subject",
    "{cert_issuer}": "ccert_issuer",
}


def session_macro(session: Session, settings: Settings, name: str) -> str | None:
    """The value of a macro; None where there is none, or where it is about a sender or a recipient."""
    request = session.request
    if name in _SETTINGS:
        return settings.text(_SETTINGS[name])
    if name in _KNOWN:
        return str(getattr(request, _KNOWN[name]))
    if name in _IF_ANY:
        return str(getattr(request, _IF_ANY[name]) or "") or None
    match name:
        case "i":
            return session.queue_id or None
        case "_":
            return _client(session)
        case "{client_addr}":
            return shown_address(request.client_address)
        case "{daemon_addr}":
            return shown_address(request.server_address)
        case "{client_port}":
            return request.client_port or "0"
        case "{client_connections}":
            return str(session.service.connections_of(request.client_address))
        case _:
            return None


def shown_address(address: str) -> str:
    """As RFC 5321 writes addresses."""
    return f"IPv6:{address}" if ":" in address else address


def _client(session: Session) -> str:
    request = session.request
    is_forged = request.client_name == "unknown" and request.reverse_client_name != "unknown"
    shown = f"{request.reverse_client_name} [{shown_address(request.client_address)}]"
    return f"{shown} (may be forged)" if is_forged else shown
