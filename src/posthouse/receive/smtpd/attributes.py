"""What XCLIENT and XFORWARD share: attributes, their coding and their checks (XCLIENT_README, XFORWARD_README)."""

from __future__ import annotations

import re

from posthouse.mail.address import is_valid_hostname
from posthouse.protocols.smtp_address import is_ipv4, is_ipv6
from posthouse.protocols.smtp_server import CommandSyntax, decode_xtext, refuse

UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"
UNKNOWN = "unknown"
_UNSAFE = re.compile(r'[ <>()\\";@]')


def parse_attributes(command: str, arguments: str, known: tuple[str, ...], ipv6: bool = True) -> dict[str, str]:
    """NAME=value ... with the values decoded. Raises CommandSyntax."""
    words = arguments.split()
    if not words:
        raise CommandSyntax(refuse(501, "5.5.4", f"Syntax: {command} attribute=value..."))
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise CommandSyntax(refuse(501, "5.5.4", "Error: attribute=value expected"))
        name = name.upper()
        decoded = decode_xtext(value)
        if decoded is None or not decoded.isprintable():
            raise CommandSyntax(refuse(501, "5.5.4", f"Bad attribute value syntax: {value}"))
        if name not in known:
            raise CommandSyntax(refuse(501, "5.5.4", f"Bad {command} attribute name: {name}"))
        found[name] = checked(name, _UNSAFE.sub("?", decoded) if command == "XFORWARD" else decoded, ipv6)
    return found


def checked(name: str, value: str, ipv6: bool = True) -> str:
    """The value of a known attribute in the form that the log has. Raises CommandSyntax."""
    upper = value.upper()
    if upper == UNAVAILABLE or (upper == TEMPORARILY_UNAVAILABLE and name in ("NAME", "REVERSE_NAME")):
        return upper
    good = True
    match name:
        case "NAME" | "REVERSE_NAME":
            good = is_valid_hostname(value)
        case "ADDR" | "DESTADDR":
            told, value = value, value[5:] if upper.startswith("IPV6:") else value
            good = is_ipv4(value) or (ipv6 and is_ipv6(value))
            value = value if good else told
        case "PORT" | "DESTPORT":
            good = value.isascii() and value.isdigit()
        case "SOURCE":
            good, value = upper in ("LOCAL", "REMOTE"), upper
        case _:
            pass
    if not good:
        raise CommandSyntax(refuse(501, "5.5.4", f"Bad {name} syntax: {value}"))
    return value
