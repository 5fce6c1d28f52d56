"""The $names in forward_path, luser_relay and the like, with dangerous characters replaced (local(8))."""

from __future__ import annotations

from posthouse.config.expand import ExpansionError, expand
from posthouse.deliver.local.attributes import Attributes
from posthouse.mail.envelope import Origin


class Unexpandable(Exception):
    """A name without a value, where one is needed, or text that is not well formed."""


def names_for(attributes: Attributes, origin: Origin, delimiters: str) -> dict[str, str]:
    """The values of the names; those without a value are absent."""
    values = {
        "user": attributes.user,
        "local": attributes.local,
        "mailbox": attributes.local,
        "domain": attributes.domain,
        "recipient": attributes.recipient.address,
        "extension": attributes.extension,
        "recipient_delimiter": attributes.delimiter or delimiters[:1],
        "original_recipient": attributes.recipient.original or attributes.recipient.address,
        "client_address": origin.client_address,
        "client_helo": origin.helo_name,
        "client_hostname": origin.client_name,
        "client_protocol": origin.protocol_name,
        "sasl_method": origin.sasl_method,
        "sasl_sender": origin.sasl_sender,
        "sasl_username": origin.sasl_username,
    }
    if attributes.rights is not None:
        values["home"] = attributes.rights.home
        values["shell"] = attributes.rights.shell
    return {name: value for name, value in values.items() if value}


def expanded(text: str, values: dict[str, str], allowed: str, *, all_needed: bool = False) -> tuple[str, set[str]]:
    """The text with values in place of names, characters of a value outside allowed as "_"; and the names used.

    Raises Unexpandable, with all_needed also for a plain $name that has no value.
    """
    used: set[str] = set()

    def lookup(name: str) -> str | None:
        value = values.get(name)
        if value is None:
            if all_needed:
                used.add(f"!{name}")
            return None
        used.add(name)
        return filtered(value, allowed)

    try:
        result = expand(text, lookup)
    except ExpansionError as error:
        raise Unexpandable(str(error)) from None
    missing = {name for name in used if name.startswith("!")}
    if all_needed and missing and "?" not in text and ":" not in text:
        raise Unexpandable(f"no value for {', '.join(sorted(missing))}")
    return result, used


def filtered(value: str, allowed: str) -> str:
    """Value with "_" for each character that is not allowed."""
    return "".join(character if character in allowed else "_" for character in value)
