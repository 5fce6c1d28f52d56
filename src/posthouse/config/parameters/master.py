"""Parameters: master."""

from __future__ import annotations

from posthouse.config.types import Parameter, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("debugger_command", "", "", 1),
    integer("default_process_limit", "100", "", 1),
    words(
        "import_environment",
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
        "",
    ),
    text("master_service_disable", "", ""),
    time("service_throttle_time", "60s", "", 1),
)
