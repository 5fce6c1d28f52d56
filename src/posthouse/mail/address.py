"""Mail addresses: local part, domain, extension, and the quoting between the two forms (RFC 5321, 4.1.2).

Internal form, which everything in the house uses, has no quoting: `a b@example.com`; external form is what SMTP and
header fields show: `"a b"@example.com`. Only the last `@` divides local part and domain.
"""

from __future__ import annotations

import ipaddress
import re

_DOT_STRING = re.compile(r"[^\s\x00-\x1f\x7f()<>@,;:\\\".\[\]]+(?:\.[^\s\x00-\x1f\x7f()<>@,;:\\\".\[\]]+)*\Z")
_NEEDS_ESCAPE = re.compile(r'(["\\\r])')
_ESCAPED = re.compile(r'\\(.)|"', re.DOTALL)
_LABEL_LIMIT = 63
_HOSTNAME_LIMIT = 255
_NEVER_SPLIT = frozenset({"postmaster", "mailer-daemon", "double-bounce"})
_IPV6_TAG = "ipv6:"


def split_address(address: str) -> tuple[str, str | None]:
    """Local part and domain of an address in internal form; domain None where there is no `@`."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, None)


def quote_localpart(localpart: str) -> str:
    """The local part as it stands in a command or header: quoted unless it is a dot-string."""
    if _DOT_STRING.match(localpart):
        return localpart
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", localpart) + '"'


def quote_address(internal: str) -> str:
    """External form (RFC 5321): the local part is quoted where it must be. "" (the null sender) stays ""."""
    if not internal:
        return ""
    local, at, domain = internal.rpartition("@")
    if not at:
        return quote_localpart(internal)
    return f"{local if _DOT_STRING.match(local) else quote_localpart(local)}@{domain}"


def unquote_address(external: str) -> str:
    """Internal form: quotes and backslashes before the last `@` are gone."""
    if '"' not in external and "\\" not in external:
        return external
    local, at, domain = _divide_external(external)
    return _ESCAPED.sub(lambda match: match[1] or "", local) + at + domain


def _divide_external(external: str) -> tuple[str, str, str]:
    """At the last `@` that stands outside quotes."""
    quoted, position, found = False, 0, -1
    while position < len(external):
        character = external[position]
        if character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == "@" and not quoted:
            found = position
        position += 1
    if found < 0:
        return external, "", ""
    return external[:found], "@", external[found + 1 :]


def split_extension(localpart: str, delimiters: str) -> tuple[str, str]:
    """Base and extension ("" where there is none) at the first of the delimiters that is not the first character.

    postmaster, mailer-daemon and double-bounce stay whole; with `-` as a delimiter so do owner-list and list-request
    (owner_request_special).
    """
    if not delimiters:
        return localpart, ""
    position = _first_of(localpart, delimiters)
    if position <= 0:
        return localpart, ""
    folded = localpart.lower()
    if folded in _NEVER_SPLIT:
        return localpart, ""
    if "-" in delimiters and (folded.startswith("owner-") or (folded.endswith("-request") and len(folded) > 8)):
        return localpart, ""
    return localpart[:position], localpart[position + 1 :]


def _first_of(text: str, characters: str) -> int:
    if len(characters) == 1:
        return text.find(characters)
    return min((place for place in map(text.find, characters) if place >= 0), default=-1)


def fold_address(address: str) -> str:
    """The address as tables are asked for it: lower case, by Unicode's rules."""
    return address.lower() if address.isascii() else address.casefold()


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_" or character > "\x7f"


def hostname_problem(name: str) -> str:
    """What is wrong with a host or domain name, as it is logged ("misplaced hyphen: a.-b"); "" where nothing is.

    Letters, digits, `_`, inner hyphens; non-ASCII letters as RFC 6531 allows. All digits and dots is no name.
    """
    shown = name[:100]
    if not name:
        return "empty hostname"
    label_length = 0
    for position, character in enumerate(name):
        ends = name[position + 1 : position + 2] in {"", "."}
        if _is_letter(character) or character == "-":
            label_length += 1
            if label_length > _LABEL_LIMIT:
                return f"hostname label too long: {shown}"
            if character == "-" and (label_length == 1 or ends):
                return f"misplaced hyphen: {shown}"
        elif character != ".":
            return f"invalid character {ord(character)}(decimal): {shown}"
        elif label_length == 0 or position + 1 == len(name):
            return f"misplaced delimiter: {shown}"
        else:
            label_length = 0
    if all(character.isdigit() or character == "." for character in name):
        return f"numeric hostname: {shown}"
    if len(name) > _HOSTNAME_LIMIT:
        return f"bad length {len(name)} for {shown}..."
    return ""


_PLAIN_HOSTNAME = re.compile(r"(?=[^.]*[A-Za-z])[A-Za-z0-9_]{1,63}(?:\.[A-Za-z0-9_]{1,63}){0,3}\Z")


def is_valid_hostname(name: str) -> bool:
    """Whether name can be a host or domain name."""
    return _PLAIN_HOSTNAME.match(name) is not None or not hostname_problem(name)


def is_valid_hostaddr(text: str) -> bool:
    """Whether text is an IPv4 (four decimal numbers) or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def literal_address(domain: str) -> str:
    """The IP address in an address literal: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321, 4.1.3); "" if it is none."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return ""
    inner = domain[1:-1]
    if inner[:5].lower() == _IPV6_TAG:
        inner = inner[5:]
        return inner if ":" in inner and is_valid_hostaddr(inner) else ""
    return inner if ":" not in inner and is_valid_hostaddr(inner) else ""


def is_valid_mail_domain(domain: str) -> bool:
    """Whether domain may stand after the `@`: a name, or an address literal."""
    if domain.startswith("["):
        return literal_address(domain) != ""
    return is_valid_hostname(domain)
