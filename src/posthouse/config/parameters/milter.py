"""Filters in the milter protocol (smtpd(8), cleanup(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    time("milter_command_timeout", "30s", "How long a milter may take for a command.", 1),
    words("milter_connect_macros", "j {daemon_name} {daemon_addr} v _", "Macros that milters get at the connection."),
    time("milter_connect_timeout", "30s", "How long a connection to a milter may take.", 1),
    time("milter_content_timeout", "300s", "How long a milter may take for the content.", 1),
    words("milter_data_macros", "i", "Macros that milters get at DATA."),
    choice(
        "milter_default_action",
        "tempfail",
        "What happens when a milter does not work.",
        ("accept", "reject", "tempfail", "quarantine", "shutdown"),
        1,
    ),
    words("milter_end_of_data_macros", "i", "Macros that milters get at the end of the message."),
    words("milter_end_of_header_macros", "i", "Macros that milters get at the end of the headers."),
    maps("milter_header_checks", "", "Patterns for headers that milters add."),
    words(
        "milter_helo_macros",
        "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
        "Macros that milters get at HELO or EHLO.",
    ),
    text("milter_macro_daemon_name", "$myhostname", "The {daemon_name} that milters get.", 1),
    text("milter_macro_defaults", "", "Values of macros that are not known otherwise."),
    text("milter_macro_v", "$mail_name $mail_version", "The {v} that milters get.", 1),
    words(
        "milter_mail_macros",
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
        "Macros that milters get at MAIL FROM.",
    ),
    text("milter_protocol", "6", "The version of the milter protocol.", 1),
    words("milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", "Macros that milters get at RCPT TO."),
    words("milter_unknown_command_macros", "", "Macros that milters get at an unknown command."),
    words("non_smtpd_milters", "", "The milters that see mail from sendmail and other local sources."),
)
