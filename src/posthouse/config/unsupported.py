"""Parameters that are known here but not honoured yet, each with the reason; who sets one is told so at start."""

from __future__ import annotations

from typing import Final

UNSUPPORTED: Final[dict[str, str]] = {
    # A name that ends in * means all parameters that begin so.
    "postscreen_*": "there is no postscreen service yet; clients reach the SMTP server directly",
    "dnsblog_*": "there is no postscreen service yet, which asks it",
    "tlsproxy_*": "each process does its own TLS; there is no tlsproxy service",
    "qmqpd_*": "mail over QMQP is not taken",
    "berkeley_db_*": "hash: and btree: tables have an index of our own, not Berkeley DB",
    "send_cyrus_sasl_authzid": "the Cyrus SASL library is not used",
    "fault_injection_code": "it exists for tests of Postfix itself",
    "debugger_command": "services are not processes that a debugger could be attached to",
    "hash_queue_*": "the queue is a database, not directories",
    "sun_mailtool_compatibility": "it has had no effect for many releases",
    "smtpd_tls_dh512_param_file": "export ciphers no longer exist",
    "tls_export_cipherlist": "export ciphers no longer exist",
    "multi_instance_*": "each instance is started by itself; there is no postmulti",
    "postmulti_*": "each instance is started by itself; there is no postmulti",
    "shlib_directory": "nothing is loaded as a plug-in",
    "dont_remove": "the queue is a database: a delivered message is not kept",
    "tls_random_*": "randomness comes from the operating system",
    "tls_daemon_random_bytes": "randomness comes from the operating system",
}

_PREFIXES: Final = tuple((name[:-1], reason) for name, reason in UNSUPPORTED.items() if name.endswith("*"))


def reason_against(name: str) -> str | None:
    """Why a parameter has no effect here; None where it has."""
    found = UNSUPPORTED.get(name)
    if found is not None:
        return found
    return next((reason for prefix, reason in _PREFIXES if name.startswith(prefix)), None)
