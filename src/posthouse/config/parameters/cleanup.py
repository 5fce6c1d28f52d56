"""Parameters: cleanup."""

from __future__ import annotations

from posthouse.config.types import Parameter, words

PARAMETERS: tuple[Parameter, ...] = (
    words("masquerade_classes", "envelope_sender, header_sender, header_recipient", ""),
    words("masquerade_domains", "", ""),
    words("masquerade_exceptions", "", ""),
)
