"""Parameters: bounce."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, text, time

PARAMETERS: tuple[Parameter, ...] = (
    text("2bounce_notice_recipient", "postmaster", "", 1),
    flag("backwards_bounce_logfile_compatibility", "yes", ""),
    text("bounce_notice_recipient", "postmaster", "", 1),
    time("bounce_queue_lifetime", "5d", "", 0, 8640000),
    text("bounce_service_name", "bounce", "", 1),
    integer("bounce_size_limit", "50000", "", 1),
    text("bounce_template_file", "", ""),
    text("delay_notice_recipient", "postmaster", "", 1),
    flag("enable_threaded_bounces", "no", ""),
)
