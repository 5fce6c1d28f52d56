"""Would this configuration relay for strangers? What smtpd(8) refuses to start without (smtpd_relay_restrictions)."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.policy.catalogue import find
from posthouse.policy.words import split_words

_ENOUGH = (
    "reject_unauth_destination",
    "defer_unauth_destination",
    "reject",
    "defer",
    "defer_if_permit",
    "check_relay_domains",
)
_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
_MAX_DEPTH = 20


def closed_relay_check(settings: Settings) -> None:
    """Raise ConfigError unless one of the two lists has a restriction that keeps strangers from relaying.

    "Working" means: not after warn_if_reject, and not after a word that lets everybody in. Restriction classes count.
    """
    if any(_closes(settings, split_words(settings.text(parameter)), 0) for parameter in _LISTS):
        return
    place = settings.place("smtpd_relay_restrictions") or settings.place("smtpd_recipient_restrictions")
    raise ConfigError(
        "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working "
        f"instance of: {', '.join(_ENOUGH[:-1])} or {_ENOUGH[-1]}",
        file=place.file if place else "",
        line=place.line if place else 0,
        parameter="smtpd_relay_restrictions",
    )


def _closes(settings: Settings, words: list[str], depth: int) -> bool:
    softened = False
    for word in words:
        folded = word.lower()
        if folded == "permit" and not softened:
            return False
        if folded in _ENOUGH and not softened:
            return True
        if not softened and depth < _MAX_DEPTH and _is_class(settings, word) and _class_closes(settings, word, depth):
            return True
        softened = folded == "warn_if_reject"
    return False


def _class_closes(settings: Settings, word: str, depth: int) -> bool:
    return _closes(settings, split_words(settings.text(word)), depth + 1)


def _is_class(settings: Settings, word: str) -> bool:
    return find(word) is None and word in settings.items("smtpd_restriction_classes") and settings.knows(word)
