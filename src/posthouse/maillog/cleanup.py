"""The lines that cleanup(8) writes to the log."""

from __future__ import annotations

from posthouse.mail.envelope import Origin

_CONTENT_LIMIT = 200


def printable(text: str) -> str:
    """What would damage a log line becomes "?"."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def message_id(queue_id: str, value: str, *, resent: bool = False) -> str:
    return f"{queue_id}: {'resent-' if resent else ''}message-id={printable(value)}"


def client_of(origin: Origin) -> str:
    """Where a message came from, as content checks log it."""
    if not origin.client_address:
        return "local"
    return f"{origin.client_name or 'unknown'}[{origin.client_address}]"


def checked(queue_id: str, action: str, content: str, origin: Origin, addresses: tuple[str, str, str]) -> str:
    """A content check's action. content is "header Subject: x" or "body text"; addresses: sender, the last recipient,
    and the text after the colon ("" none).
    """
    sender, recipient, text = addresses
    kind, _, rest = content.partition(" ")
    line = f"{queue_id}: {action}: {kind} {printable(rest[:_CONTENT_LIMIT])} from {client_of(origin)};"
    line += f" from=<{sender}> to=<{recipient}>"
    if origin.client_address and origin.protocol_name:
        line += f" proto={origin.protocol_name}"
        if origin.helo_name:
            line += f" helo=<{origin.helo_name}>"
    return f"{line}: {printable(text)}" if text else line


def not_accepted(queue_id: str, what: str) -> str:
    """A warning that a message waits for an administrator ("unreasonable virtual_alias_maps map nesting for a@b")."""
    return f"{queue_id}: {what} -- message not accepted, try again later"


def mime_error(queue_id: str, text: str, origin: Origin, addresses: tuple[str, str]) -> str:
    """A message that breaks MIME's rules; addresses: sender and the last recipient."""
    sender, recipient = addresses
    return (
        f"{queue_id}: reject: mime-error {printable(text)} from {client_of(origin)}; from=<{sender}> to=<{recipient}>"
    )
