"""Parameters that exist once for each delivery service: <transport>_destination_recipient_limit."""

from __future__ import annotations

from typing import Final

SUFFIXES: Final[dict[str, str]] = {
    "_recipient_limit": "default_recipient_limit",
    "_extra_recipient_limit": "default_extra_recipient_limit",
    "_recipient_refill_limit": "default_recipient_refill_limit",
    "_recipient_refill_delay": "default_recipient_refill_delay",
    "_delivery_slot_cost": "default_delivery_slot_cost",
    "_delivery_slot_loan": "default_delivery_slot_loan",
    "_delivery_slot_discount": "default_delivery_slot_discount",
    "_minimum_delivery_slots": "default_minimum_delivery_slots",
    "_initial_destination_concurrency": "initial_destination_concurrency",
    "_destination_concurrency_limit": "default_destination_concurrency_limit",
    "_destination_concurrency_positive_feedback": "default_destination_concurrency_positive_feedback",
    "_destination_concurrency_negative_feedback": "default_destination_concurrency_negative_feedback",
    "_destination_concurrency_failed_cohort_limit": "default_destination_concurrency_failed_cohort_limit",
    "_destination_recipient_limit": "default_destination_recipient_limit",
    "_destination_rate_delay": "default_destination_rate_delay",
    "_transport_rate_delay": "default_transport_rate_delay",
    "_time_limit": "command_time_limit",
}
"""What follows the name of a transport, and the parameter that stands in where nothing is set."""

_LONGEST_FIRST: Final = sorted(SUFFIXES, key=len, reverse=True)


def general_name(name: str) -> str | None:
    """The parameter that stands in for <transport>_<suffix>; None where the name is not of this shape."""
    for suffix in _LONGEST_FIRST:
        if name.endswith(suffix) and len(name) > len(suffix):
            return SUFFIXES[suffix]
    return None


def default_of(name: str) -> str:
    """The default text of <transport>_<suffix>: "$default_<suffix>". KeyError for other names."""
    general = general_name(name)
    if general is None or general == name:
        raise KeyError(name)
    return f"${general}"
