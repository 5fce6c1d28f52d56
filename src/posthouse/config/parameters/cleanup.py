"""How mail is made fit for the queue (cleanup(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, size, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("always_add_missing_headers", "no", "Complete missing headers in mail of strangers too."),
    text("always_bcc", "", "Who gets a copy of all mail."),
    maps("body_checks", "", "Tables of patterns that are matched with each body line."),
    integer("body_checks_size_limit", "51200", "How many bytes of a body part are matched with patterns."),
    words(
        "canonical_classes",
        "envelope_sender, envelope_recipient, header_sender, header_recipient",
        "The addresses to which canonical_maps apply.",
        1,
    ),
    maps("canonical_maps", "", "Tables that rewrite addresses in envelopes and headers."),
    flag("cleanup_replace_stray_cr_lf", "yes", "Replace lone carriage returns and newlines by spaces."),
    time("delay_warning_time", "0h", "After how long a sender hears that mail is delayed; 0 for never."),
    flag("detect_8bit_encoding_header", "yes", "Read Content-Transfer-Encoding to find out whether mail is 8-bit."),
    flag("disable_mime_input_processing", "no", "Treat all mail as plain text."),
    integer("duplicate_filter_limit", "1000", "How many recipients are remembered to suppress duplicates."),
    words("empty_address_recipient", "MAILER-DAEMON", "Who gets mail that is addressed to the null address.", 1),
    flag("enable_idna2003_compatibility", "no", "Convert internationalized domains by the older standard."),
    flag("enable_long_queue_ids", "no", "Use queue ids that are not used again."),
    flag("enable_original_recipient", "yes", "Keep the address before rewriting, for X-Original-To: and reports."),
    integer("header_address_token_limit", "10240", "How many address parts in one header are rewritten.", 1),
    maps("header_checks", "", "Tables of patterns that are matched with each header."),
    text("header_from_format", "standard", "How a From: header that is made here looks.", 1),
    integer("header_size_limit", "102400", "Longer headers are cut off.", 1),
    integer("hopcount_limit", "50", "After so many Received: headers a message is caught in a loop.", 1),
    time("in_flow_delay", "1s", "How long new mail is held back when more arrives than leaves.", 0, 10),
    words(
        "masquerade_classes",
        "envelope_sender, header_sender, header_recipient",
        "The addresses to which masquerade_domains apply.",
    ),
    words("masquerade_domains", "", "Domains whose subdomains are cut off addresses."),
    words("masquerade_exceptions", "", "Users whose addresses are not masqueraded."),
    words(
        "message_drop_headers", "bcc, content-length, resent-bcc, return-path", "Headers that are removed from mail."
    ),
    text("message_reject_characters", "", "Characters whose presence refuses a message."),
    size("message_size_limit", "10240000", "The largest message that is taken, in bytes."),
    text("message_strip_characters", "", "Characters that are removed from mail."),
    integer("mime_boundary_length_limit", "2048", "How much of a MIME boundary counts.", 1),
    maps("mime_header_checks", "$header_checks", "Patterns for the headers of MIME parts."),
    integer("mime_nesting_limit", "100", "How deep MIME parts may be nested.", 1),
    maps("nested_header_checks", "$header_checks", "Patterns for headers of attached messages."),
    words(
        "propagate_unmatched_extensions",
        "canonical, virtual",
        "The rewriting after which user+extension keeps its extension.",
    ),
    integer("queue_file_attribute_count_limit", "100", "How many attributes a message may have in the queue.", 1),
    maps("recipient_bcc_maps", "", "Who gets copies of mail to single recipients."),
    words(
        "recipient_canonical_classes",
        "envelope_recipient, header_recipient",
        "The addresses to which recipient_canonical_maps apply.",
        1,
    ),
    maps("recipient_canonical_maps", "", "Tables that rewrite recipients in envelopes and headers."),
    text(
        "remote_header_rewrite_domain",
        "",
        "The domain that completes addresses in headers of strangers; empty for none.",
    ),
    maps("sender_bcc_maps", "", "Who gets copies of mail from single senders."),
    words(
        "sender_canonical_classes",
        "envelope_sender, header_sender",
        "The addresses to which sender_canonical_maps apply.",
        1,
    ),
    maps("sender_canonical_maps", "", "Tables that rewrite senders in envelopes and headers."),
    flag(
        "smtputf8_enable",
        "${{$compatibility_level} <level {1} ? {no} : {yes}}",
        "Take and send mail with UTF-8 addresses.",
    ),
    text(
        "undisclosed_recipients_header",
        "",
        "The To: header of a message without recipients in its headers; empty for none.",
    ),
)
