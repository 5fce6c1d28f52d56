"""check_policy_service: what a server outside says (SMTPD_POLICY_README)."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.policy.access import apply_value
from posthouse.policy.answer import Answer
from posthouse.policy.catalogue import Permits, Takes, restriction
from posthouse.policy.check import Check
from posthouse.policy.policy_servers import PolicyServer
from posthouse.protocols.smtp_client import xtext


@restriction(permits=Permits.ANY_CLIENT, takes=Takes.SERVER, needs_service=True)
async def check_policy_service(check: Check, server: PolicyServer) -> Answer:
    """Tell a policy server all that is known and do what it says, an action as in an access table; where it cannot be
    reached, smtpd_policy_service_default_action.
    """
    action = await server.ask(_attributes(check, server.options.policy_context))
    if check.trace is not None:
        check.learn("service", server.endpoint, check.subject, action)
    if action is None:
        action = server.options.default_action
    subject = (check.subject, check.subject_class)
    return await apply_value(check, action, subject, (server.written, "policy query"))


def _attributes(check: Check, policy_context: str) -> Iterator[tuple[str, str]]:
    """All attributes at every stage; what is not known yet is empty."""
    request = check.request
    counts = request.protocol_state in ("DATA", "END-OF-MESSAGE")
    yield "request", "smtpd_access_policy"
    yield "protocol_state", request.protocol_state
    yield "protocol_name", request.protocol_name
    yield "client_address", request.client_address
    yield "client_name", request.client_name
    yield "client_port", request.client_port
    yield "reverse_client_name", request.reverse_client_name
    yield "server_address", request.server_address
    yield "server_port", request.server_port
    yield "helo_name", request.helo_name or ""
    yield "sender", request.sender or ""
    yield "recipient", check.recipient or ""
    yield "recipient_count", str(request.recipient_count if counts else 0)
    yield "queue_id", request.queue_id
    yield "instance", request.instance
    yield "size", str(request.size)
    yield "etrn_domain", request.etrn_domain
    yield "stress", request.stress
    yield "sasl_method", request.sasl_method
    yield "sasl_username", request.sasl_username
    yield "sasl_sender", request.sasl_sender
    yield "ccert_subject", xtext(request.ccert_subject)
    yield "ccert_issuer", xtext(request.ccert_issuer)
    yield "ccert_fingerprint", request.ccert_fingerprint
    yield "ccert_pubkey_fingerprint", request.ccert_pubkey_fingerprint
    yield "encryption_protocol", request.encryption_protocol
    yield "encryption_cipher", request.encryption_cipher
    yield "encryption_keysize", str(request.encryption_keysize)
    yield "policy_context", policy_context
