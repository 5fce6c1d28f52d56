"""Parameters: pipe."""

from __future__ import annotations

from posthouse.config.types import Parameter, text

PARAMETERS: tuple[Parameter, ...] = (text("pipe_delivery_status_filter", "$default_delivery_status_filter", ""),)
