"""Every parameter of Postfix 3.7, one declarative line each, filed by the part of the mail's way that it serves."""

from __future__ import annotations

from posthouse.config.parameters import (
    anvil,
    bounce,
    cleanup,
    flush,
    house,
    lmtp,
    lmtp_tls,
    local,
    milter,
    pickup,
    postscreen,
    qmqpd,
    scache,
    sendmail,
    smtp,
    smtp_tls,
    smtpd,
    smtpd_tls,
    tls,
    tlsproxy,
    verify,
    virtual,
)
from posthouse.config.types import Parameter

TOPICS = (
    anvil,
    bounce,
    cleanup,
    flush,
    house,
    lmtp,
    lmtp_tls,
    local,
    milter,
    pickup,
    postscreen,
    qmqpd,
    scache,
    sendmail,
    smtp,
    smtp_tls,
    smtpd,
    smtpd_tls,
    tls,
    tlsproxy,
    verify,
    virtual,
)

PARAMETERS: dict[str, Parameter] = {line.name: line for topic in TOPICS for line in topic.PARAMETERS}
