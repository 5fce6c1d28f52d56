"""Parameters: milter."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    time("milter_command_timeout", "30s", "", 1),
    words("milter_connect_macros", "j {daemon_name} {daemon_addr} v _", ""),
    time("milter_connect_timeout", "30s", "", 1),
    time("milter_content_timeout", "300s", "", 1),
    words("milter_data_macros", "i", ""),
    choice("milter_default_action", "tempfail", "", ("accept", "reject", "tempfail", "quarantine", "shutdown"), 1),
    words("milter_end_of_data_macros", "i", ""),
    words("milter_end_of_header_macros", "i", ""),
    maps("milter_header_checks", "", ""),
    words("milter_helo_macros", "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}", ""),
    text("milter_macro_daemon_name", "$myhostname", "", 1),
    text("milter_macro_defaults", "", ""),
    text("milter_macro_v", "$mail_name $mail_version", "", 1),
    words("milter_mail_macros", "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}", ""),
    text("milter_protocol", "6", "", 1),
    words("milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", ""),
    words("milter_unknown_command_macros", "", ""),
    words("non_smtpd_milters", "", ""),
)
