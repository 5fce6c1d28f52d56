"""How large Postfix's queue file would be: message_size_limit is a limit on that, so the same mail passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction

_FIXED = 441  # bytes of records without their variable parts
_PER_RECIPIENT = 27  # original, rewritten and ORCPT record, without the addresses


def exceeds_limit(session: Session, transaction: Transaction, written: int, lines: int) -> bool:
    """Whether so many bytes of content (LF line ends, fields on top included) are too much with their envelope."""
    limit = session.service.rules.size_limit
    return bool(limit) and written + lines + _envelope_size(session, transaction) > limit


def _envelope_size(session: Session, transaction: Transaction) -> int:
    request = session.request
    helo, name, address = request.helo_name or "", request.client_name, request.client_address
    shown = len(name) + len(address)
    return (
        _FIXED
        + len(session.queue_id) + len(transaction.rewrite_context) + len(transaction.sender)
        + 3 * shown + 2 + 2 * len(request.client_port) + len(request.reverse_client_name)
        + len(request.server_address) + len(request.server_port) + 2 * (len(helo) + len(request.protocol_name))
        + sum(_PER_RECIPIENT + 3 * len(recipient.address) for recipient in transaction.recipients)
    )  # fmt: skip
