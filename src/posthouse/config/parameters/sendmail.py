"""Parameters: sendmail."""

from __future__ import annotations

from posthouse.config.types import Parameter, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    words("alternate_config_directories", "", ""),
    words("authorized_flush_users", "static:anyone", ""),
    words("authorized_mailq_users", "static:anyone", ""),
    words("authorized_submit_users", "static:anyone", ""),
    integer("debug_peer_level", "2", "", 1),
    words("debug_peer_list", "", ""),
    text("debugger_command", "", "", 1),
    text("default_database_type", "hash", "", 1),
    text("default_verp_delimiters", "+=", "", 2, 2),
    time("delay_warning_time", "0h", ""),
    integer("fork_attempts", "5", "", 1),
    time("fork_delay", "1s", "", 1),
    integer("hopcount_limit", "50", "", 1),
    words(
        "import_environment",
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
        "",
    ),
    text("mail_owner", "postfix", "", 1),
    time("queue_run_delay", "300s", "", 1),
    text("remote_header_rewrite_domain", "", ""),
    text("sendmail_fix_line_endings", "always", "", 1),
    text("syslog_facility", "mail", "", 1),
    text("syslog_name", "${multi_instance_name?{$multi_instance_name}:{postfix}}", "", 1),
    text("verp_delimiter_filter", "-=+", "", 1),
)
