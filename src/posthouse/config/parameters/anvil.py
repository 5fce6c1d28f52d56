"""How often clients come (anvil(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, time

PARAMETERS: tuple[Parameter, ...] = (
    time("anvil_rate_time_unit", "60s", "The time over which rate limits count.", 1),
    time("anvil_status_update_time", "600s", "How often the highest rates are logged.", 1),
)
