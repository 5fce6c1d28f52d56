"""Old defaults that count because main.cf has no compatibility_level that ends them (COMPATIBILITY_README)."""

from __future__ import annotations

from typing import Final

from posthouse.config.expand import level
from posthouse.config.settings import Settings

# The level from which on a parameter has its new default.
_SINCE: Final = {
    "append_dot_mydomain": "1",
    "smtputf8_enable": "1",
    "relay_domains": "2",
    "mynetworks_style": "2",
    "smtpd_relay_before_recipient_restrictions": "3.6",
}


def relies_on_old_default(settings: Settings, parameter: str) -> bool:
    """Whether nobody has decided about the parameter, so that mail would be handled otherwise at a higher level."""
    return not settings.is_set(parameter) and level(settings.text("compatibility_level")) < level(_SINCE[parameter])
