"""Parameters: qmqpd."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, time, words

PARAMETERS: tuple[Parameter, ...] = (
    words("qmqpd_authorized_clients", "", ""),
    flag("qmqpd_client_port_logging", "no", ""),
    time("qmqpd_error_delay", "1s", ""),
    time("qmqpd_timeout", "300s", "", 1),
)
