"""Mail that comes in over QMQP (qmqpd(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, time, words

PARAMETERS: tuple[Parameter, ...] = (
    words("qmqpd_authorized_clients", "", "Clients that may hand over mail with QMQP."),
    flag("qmqpd_client_port_logging", "no", "Log the QMQP client's port beside its address."),
    time("qmqpd_error_delay", "1s", "The pause before a QMQP client is refused."),
    time("qmqpd_timeout", "300s", "How long a QMQP client may be silent.", 1),
)
