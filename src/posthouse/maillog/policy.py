"""Warnings of smtpd(8) about its access restrictions, and about hosts' names."""

from __future__ import annotations


def unknown_restriction(name: str) -> str:
    """A word that is no restriction."""
    return f'unknown smtpd restriction: "{name}"'


def ignored_after(ignored: str, final: str) -> str:
    """A word after one that always ends the list."""
    return f"restriction `{ignored}' after `{final}' is ignored"


def access_word_needed(choices: tuple[str, ...], what: str, table: str) -> str:
    """A bare table where no kind of lookup is implied."""
    return f'specify one of ({", ".join(choices)}) before {what} restriction "{table}"'


def table_needed(restriction: str, argument: str) -> str:
    """check_x_access without a table."""
    return f'restriction {restriction}: bad argument "{argument}": need maptype:mapname'


def server_needed(restriction: str) -> str:
    """check_policy_service without a server."""
    return f"restriction {restriction} must be followed by transport:server"


def number_needed(restriction: str) -> str:
    """Sleep without seconds."""
    return f"restriction {restriction} must be followed by number"


def domain_needed(restriction: str) -> str:
    """A DNS list without its name."""
    return f"restriction {restriction} requires domain name argument"


def certificate_not_asked_for(restriction: str) -> str:
    """A restriction about certificates of clients, which nobody asks them for."""
    return f'{restriction} is requested, but "smtpd_tls_ask_ccert = no"'


def class_within_itself(name: str) -> str:
    """A restriction class that leads back to itself."""
    return f"restriction class {name} contains itself"


def class_undefined(name: str) -> str:
    """A name in smtpd_restriction_classes for which main.cf has no list."""
    return f"restriction class `{name}' needs a definition"


def too_deep(table: str, value: str) -> str:
    """Lists within lists without an end; table and value where a table began the last."""
    if table:
        return f"access table {table} entry {value} causes unreasonable recursion"
    return "restriction lists are nested too deeply, or a restriction class names itself"


def table_within_table(table: str, value: str) -> tuple[str, str, str]:
    """An access table's value that names another table."""
    return (
        f"access table {table} has entry with lookup table: {value}",
        "do not specify lookup tables inside SMTPD access maps",
        "define a restriction class and specify its name instead.",
    )


def empty_value(table: str, value: str) -> str:
    """A table or policy server that has an answer, but says nothing in it."""
    return f"access table {table} entry {value} has empty value"
