"""How services are started (master(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("debugger_command", "", "The command that starts a debugger for a daemon with -D."),
    integer(
        "default_process_limit", "100", 'How many processes, or sessions, a service has where master.cf says "-".', 1
    ),
    words(
        "import_environment",
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
        "Environment variables that the mail system takes over from its start.",
    ),
    text("master_service_disable", "", "Services of master.cf that are switched off."),
    time("service_throttle_time", "60s", "How long a service that fails at its start is left alone.", 1),
)
