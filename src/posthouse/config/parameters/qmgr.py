"""Parameters: qmgr."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("allow_min_user", "no", ""),
    flag("confirm_delay_cleared", "no", ""),
    integer("default_delivery_slot_cost", "5", ""),
    integer("default_delivery_slot_discount", "50", "", 0, 100),
    integer("default_delivery_slot_loan", "3", ""),
    integer("default_destination_concurrency_failed_cohort_limit", "1", ""),
    integer("default_destination_concurrency_limit", "20", ""),
    text("default_destination_concurrency_negative_feedback", "1", "", 1),
    text("default_destination_concurrency_positive_feedback", "1", "", 1),
    time("default_destination_rate_delay", "0s", ""),
    integer("default_destination_recipient_limit", "50", ""),
    integer("default_extra_recipient_limit", "1000", ""),
    text("default_filter_nexthop", "", ""),
    integer("default_minimum_delivery_slots", "3", ""),
    integer("default_recipient_limit", "20000", ""),
    time("default_recipient_refill_delay", "5s", "", 1),
    integer("default_recipient_refill_limit", "100", "", 1),
    time("default_transport_rate_delay", "0s", ""),
    words("defer_transports", "", ""),
    flag("destination_concurrency_feedback_debug", "no", ""),
    flag("helpful_warnings", "yes", ""),
    integer("initial_destination_concurrency", "5", "", 1),
    time("maximal_backoff_time", "4000s", "", 1),
    time("maximal_queue_lifetime", "5d", "", 0, 8640000),
    time("minimal_backoff_time", "300s", "", 1),
    time("qmgr_clog_warn_time", "300s", ""),
    time("qmgr_daemon_timeout", "1000s", "", 1),
    time("qmgr_ipc_timeout", "60s", "", 1),
    integer("qmgr_message_active_limit", "20000", "", 1),
    integer("qmgr_message_recipient_limit", "20000", "", 1),
    integer("qmgr_message_recipient_minimum", "10", "", 1),
    time("queue_run_delay", "300s", "", 1),
    time("transport_retry_time", "60s", "", 1),
)
