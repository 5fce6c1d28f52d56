"""Delivery to commands (pipe(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, text

PARAMETERS: tuple[Parameter, ...] = (
    text(
        "pipe_delivery_status_filter",
        "$default_delivery_status_filter",
        "A table that changes the outcome of deliveries to commands.",
    ),
)
