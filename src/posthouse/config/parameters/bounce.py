"""What senders hear about mail that failed or waits (bounce(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, text, time

PARAMETERS: tuple[Parameter, ...] = (
    text(
        "2bounce_notice_recipient",
        "postmaster",
        "Who gets copies of bounces that could not be delivered to the sender.",
        1,
    ),
    flag("backwards_bounce_logfile_compatibility", "yes", "Write bounce records so that older releases can read them."),
    text("bounce_notice_recipient", "postmaster", "Who gets postmaster copies of bounced mail's headers.", 1),
    time(
        "bounce_queue_lifetime",
        "5d",
        "How long an undeliverable notice itself is tried before it is dropped.",
        0,
        8640000,
    ),
    text("bounce_service_name", "bounce", "The service that keeps records of failed recipients and sends bounces.", 1),
    integer("bounce_size_limit", "50000", "How many bytes of the original message a bounce gives back.", 1),
    text("bounce_template_file", "", "A file with texts for bounces and delay warnings in place of the built-in ones."),
    text("delay_notice_recipient", "postmaster", "Who gets postmaster copies of delayed mail's headers.", 1),
    flag("disable_verp_bounces", "no", "Send one bounce for a VERP message, not one for each recipient."),
    flag("enable_threaded_bounces", "no", "Let bounces refer to the original Message-ID, so that readers thread them."),
)
