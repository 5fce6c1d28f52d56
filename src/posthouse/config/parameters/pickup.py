"""Parameters: pickup."""

from __future__ import annotations

from posthouse.config.types import Parameter, text

PARAMETERS: tuple[Parameter, ...] = (text("pickup_service_name", "pickup", "", 1),)
