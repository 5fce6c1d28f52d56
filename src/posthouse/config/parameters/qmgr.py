"""Which mail is tried when, and how much at a time (qmgr(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("allow_min_user", "no", 'Let recipients begin with a "-", which commands may take for an option.'),
    flag("confirm_delay_cleared", "no", "Tell the sender when delayed mail was delivered after all."),
    integer(
        "default_delivery_slot_cost",
        "5",
        "How many recipients of a big message earn another message the right to go first.",
    ),
    integer(
        "default_delivery_slot_discount", "50", "By how many percent the price for going first is lowered.", 0, 100
    ),
    integer("default_delivery_slot_loan", "3", "How many delivery slots may be borrowed to go first."),
    integer(
        "default_destination_concurrency_failed_cohort_limit",
        "1",
        "How many rounds of failures declare a destination dead.",
    ),
    integer("default_destination_concurrency_limit", "20", "How many deliveries to one destination may run at a time."),
    text(
        "default_destination_concurrency_negative_feedback",
        "1",
        "By how much a failed connection lowers concurrency.",
        1,
    ),
    text("default_destination_concurrency_positive_feedback", "1", "By how much a success raises concurrency.", 1),
    time("default_destination_rate_delay", "0s", "The pause between two deliveries to one destination."),
    integer("default_destination_recipient_limit", "50", "How many recipients one delivery may have."),
    integer(
        "default_extra_recipient_limit",
        "1000",
        "How many recipients more than its share a transport may keep in memory.",
    ),
    text("default_filter_nexthop", "", "The next hop of a content filter that names none."),
    integer("default_minimum_delivery_slots", "3", "How many recipients a message must have to be overtaken."),
    integer("default_recipient_limit", "20000", "How many recipients a transport keeps in memory."),
    time("default_recipient_refill_delay", "5s", "The longest wait before more recipients are read into memory.", 1),
    integer("default_recipient_refill_limit", "100", "How many recipients are read into memory at a time.", 1),
    time("default_transport_rate_delay", "0s", "The pause between two deliveries of one transport."),
    words("defer_transports", "", "Transports whose mail waits until the queue is flushed."),
    flag("destination_concurrency_feedback_debug", "no", "Log how the concurrency of each destination moves."),
    integer("hash_queue_depth", "1", "How many levels of directories the hashed queues have.", 1),
    text("hash_queue_names", "deferred, defer", "The queues that are spread over directories.", 1),
    flag("helpful_warnings", "yes", "Warn about settings that are probably mistakes."),
    integer("initial_destination_concurrency", "5", "With how many deliveries to a destination to begin.", 1),
    time("maximal_backoff_time", "4000s", "The longest wait between two attempts.", 1),
    time("maximal_queue_lifetime", "5d", "How long mail is tried before it goes back to its sender.", 0, 8640000),
    time("minimal_backoff_time", "300s", "The shortest wait between two attempts.", 1),
    time("qmgr_clog_warn_time", "300s", "How often to warn that one destination clogs the queue."),
    time(
        "qmgr_daemon_timeout",
        "1000s",
        "How long the queue manager may be busy with one request before it is stopped.",
        1,
    ),
    integer(
        "qmgr_fudge_factor",
        "100",
        "The share of connections left to other mail while a message with many recipients is sent.",
        10,
        100,
    ),
    time("qmgr_ipc_timeout", "60s", "How long the queue manager waits for another service.", 1),
    integer("qmgr_message_active_limit", "20000", "How many messages are in delivery at a time.", 1),
    integer("qmgr_message_recipient_limit", "20000", "How many recipients are held in memory at a time.", 1),
    integer(
        "qmgr_message_recipient_minimum", "10", "How many recipients of each message are held in memory at least.", 1
    ),
    time("queue_run_delay", "300s", "How often deferred mail is looked at for another attempt.", 1),
    time("transport_retry_time", "60s", "When a transport that did not work is tried again.", 1),
)
