"""Parameters: anvil."""

from __future__ import annotations

from posthouse.config.types import Parameter, time

PARAMETERS: tuple[Parameter, ...] = (
    time("anvil_rate_time_unit", "60s", "", 1),
    time("anvil_status_update_time", "600s", "", 1),
)
