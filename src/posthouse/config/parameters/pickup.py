"""Mail posted with sendmail (pickup(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, text

PARAMETERS: tuple[Parameter, ...] = (
    text("pickup_service_name", "pickup", "The service that fetches mail posted with sendmail.", 1),
    text("sendmail_fix_line_endings", "always", "How sendmail treats carriage returns in its input.", 1),
)
