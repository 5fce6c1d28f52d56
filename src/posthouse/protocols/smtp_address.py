"""Addresses as clients write them after MAIL FROM: and RCPT TO:, taken as liberally as smtpd(8) does.

Brackets, comments, source routes and quoting are understood; the answer is the internal form (no quoting).
"""

from __future__ import annotations

import re

_PLAIN = re.compile(
    r"<([A-Za-z0-9!#$&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9!#$&'*+/=?^_{|}~-]+)*)@((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+)>"
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\Z")
_NUMERIC = re.compile(r"[0-9.]+\Z")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|\Z)){4}\Z")
MAX_LABEL = 63
MAX_DOMAIN = 255


class BadAddress(ValueError):
    """The text is no address."""


def extract_address(text: str, *, strict: bool = False, utf8: bool = False, null: bool = True) -> str:
    """The internal form of the address in text ("<a@b>", "a@b", "<@route:a@b>", "<>" ...).

    strict is strict_rfc821_envelopes: exactly one pair of brackets. utf8: the domain may hold non-ASCII characters.
    Raises BadAddress. An empty answer is the null address; without null that is bad, too.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        address = _parse(text, strict=strict)
    else:
        address = text[1:-1]
    at = address.rfind("@")
    if not (address or null):
        raise BadAddress(text)
    if at >= 0 and not is_valid_domain(address[at + 1 :].removesuffix("."), utf8=utf8):
        raise BadAddress(text)
    return address


def is_valid_domain(domain: str, *, utf8: bool = False) -> bool:
    """Whether domain is a host name or an address literal. A bare number is neither (resolve_numeric_domain = no)."""
    if domain.startswith("["):
        return domain.endswith("]") and is_valid_literal(domain[1:-1])
    if not domain or len(domain) > MAX_DOMAIN or _NUMERIC.match(domain):
        return False
    if not domain.isascii():
        if not utf8:
            return False
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    return all(len(label) <= MAX_LABEL and _LABEL.match(label) for label in domain.split("."))


def is_valid_literal(text: str) -> bool:
    """Whether text is an IPv4 address, or an IPv6 address after "IPv6:"."""
    if text[:5].lower() == "ipv6:":
        return is_ipv6(text[5:])
    return _IPV4.match(text) is not None


def is_ipv4(text: str) -> bool:
    """Four numbers with dots."""
    return _IPV4.match(text) is not None


def is_ipv6(text: str) -> bool:
    """RFC 4291, 2.2, with an IPv4 tail or without."""
    if text.count("::") > 1 or not text:
        return False
    head, double, tail = text.partition("::")
    parts = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    if not all(parts):
        return False
    width = len(parts)
    if parts and "." in parts[-1]:
        if not is_ipv4(parts.pop()):
            return False
        width += 1
    if not all(len(part) <= 4 and all(c in "0123456789abcdefABCDEF" for c in part) for part in parts):
        return False
    return width < 8 if double else width == 8


# -- the liberal reader: RFC 822 tokens, then the address among them


def _parse(text: str, *, strict: bool) -> str:
    tokens = _tokens(text.strip(" \t"))
    if tokens and tokens[0] == ("<", "<"):
        if tokens[-1] != (">", ">") or sum(kind == "<" for kind, _ in tokens) != 1:
            raise BadAddress(text)
        tokens = tokens[1:-1]
        while tokens and tokens[-1] == (">", ">"):
            tokens = tokens[:-1]
        if any(kind == ">" for kind, _ in tokens):
            raise BadAddress(text)
    elif strict:
        raise BadAddress(text)
    elif tokens and tokens[-1] == (">", ">"):
        tokens = tokens[:-1]
    return _address(text, tokens)


def _address(text: str, tokens: list[tuple[str, str]]) -> str:
    tokens = _without_group(_without_route(tokens))
    if any(kind in "<>,;:" for kind, _ in tokens):
        raise BadAddress(text)
    parts: list[str] = []
    previous = ""
    for kind, value in tokens:
        if kind in "aql" and previous in ("a", "q", "l"):
            raise BadAddress(text)
        parts.append(value)
        previous = kind
    address = "".join(parts)
    if not address and text.strip(" \t") not in ("<>", "", "< >"):
        raise BadAddress(text)
    return address


def _without_route(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """RFC 821's @one,@two:user@three is user@three."""
    if tokens and tokens[0][0] == "@":
        for index, (kind, _) in enumerate(tokens):
            if kind == ":":
                return tokens[index + 1 :]
    return tokens


def _without_group(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A group "name: user@host;" of one member stands for the member; a lone ";" at the end is dropped."""
    if tokens and tokens[-1][0] == ";":
        tokens = tokens[:-1]
        for index, (kind, _) in enumerate(tokens):
            if kind == ":":
                return tokens[index + 1 :]
    return tokens


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kinds: a atom, q quoted, l literal, and the special characters themselves. Comments vanish."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char in " \t":
            position += 1
        elif char == "(":
            position = _after_comment(text, position)
        elif char == '"':
            value, position = _quoted(text, position, '"')
            tokens.append(("q", value))
        elif char == "[":
            value, position = _quoted(text, position, "]")
            tokens.append(("l", f"[{value}]"))
        elif char in "<>@,;:.":
            tokens.append((char, char))
            position += 1
        else:
            value, position = _atom(text, position)
            tokens.append(("a", value))
    return tokens


def _after_comment(text: str, position: int) -> int:
    depth = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return position


def _quoted(text: str, position: int, end: str) -> tuple[str, int]:
    value: list[str] = []
    position += 1
    while position < len(text) and text[position] != end:
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        value.append(text[position])
        position += 1
    return "".join(value), position + 1


def _atom(text: str, position: int) -> tuple[str, int]:
    value: list[str] = []
    while position < len(text) and text[position] not in ' \t()<>@,;:."[':
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        value.append(text[position])
        position += 1
    return "".join(value), position
