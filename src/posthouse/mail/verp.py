"""Variable envelope return paths: each recipient in the envelope sender (VERP_README)."""

from __future__ import annotations

from posthouse.mail.address import split_address


def verp_sender(delimiters: str, sender: str, recipient: str) -> str:
    """The envelope sender for one recipient: list@example.org, joe@there.example: list+joe=there.example@example.org.

    delimiters are two characters ("+="); addresses are in internal form. A recipient without domain adds its name only.
    """
    local, domain = split_address(sender)
    recipient_local, recipient_domain = split_address(recipient)
    tagged = f"{local}{delimiters[0]}{recipient_local}"
    if recipient_domain:
        tagged += f"{delimiters[1]}{recipient_domain}"
    return f"{tagged}@{domain}" if domain else tagged
