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


def is_closed(word: str) -> bool:
    """Whether each quote and bracket of a command's word is closed; where one is not, the command is no command."""
    depth, quoted, escaped = 0, False, False
    for char in word:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "<") - (char == ">" and depth > 0)
    return not (depth or quoted)


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
    if not (address or null) or not _has_good_domain(address, utf8=utf8):
        raise BadAddress(text)
    return address


def _has_good_domain(address: str, *, utf8: bool) -> bool:
    """Whether mail to it could be routed; a@b@ goes where a@b goes, and a%b@ where a@b (percent hack)."""
    local, at, domain = address.rpartition("@")
    if not at:
        return True
    if not domain:
        return ("@" in local and _has_good_domain(local, utf8=utf8)) or "%" in local or "!" in local
    return is_valid_domain(domain.removesuffix("."), utf8=utf8)


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

_Token = tuple[str, str]


def _parse(text: str, *, strict: bool) -> str:
    text = text.strip(" \t")
    if strict and not text.startswith("<"):
        raise BadAddress(text)
    if text in ("", "<>"):
        return ""
    if text[0] == "<" and text[-1] == ">":
        text = text[1:-1]
    addresses, others = _found_in(_tokens(text))
    if len(addresses) > 1 or (strict and others):
        raise BadAddress(text)
    address = addresses[0] if addresses else ""
    if strict and address.startswith("@"):
        raise BadAddress(text)
    return address


def _found_in(tokens: list[_Token]) -> tuple[list[str], bool]:
    """The addresses, and whether there is anything else: comments, separators, phrases, names of groups."""
    found: list[str] = []
    words: list[_Token] = []
    others, position = False, 0
    last_semicolon = max((index for index, (kind, _) in enumerate(tokens) if kind == ";"), default=-1)
    while position < len(tokens):
        kind = tokens[position][0]
        if kind == "@" and not words:
            position = _after_route(tokens, position)
            words.append(tokens[position])
        elif kind == "<" and (">", ">") in tokens[position:]:
            inside = tokens[position + 1 : tokens.index((">", ">"), position)]
            others = others or bool(words) or not inside
            found += _side_by_side(inside[_after_route(inside, 0) :])
            words, position = [], position + len(inside) + 1
        elif kind in "c,;>" or (kind == ":" and position < last_semicolon):
            others = True
            found += _side_by_side(words) if kind in ",;" else []
            words = words if kind in "c>" else []
        else:
            words.append(tokens[position])
        position += 1
    return found + _side_by_side(words), others


def _after_route(tokens: list[_Token], position: int) -> int:
    """RFC 821's @one,@two:user@three is user@three."""
    if (":", ":") in tokens[position:-1] and tokens[position][0] == "@":
        return tokens.index((":", ":"), position) + 1
    return position


def _side_by_side(tokens: list[_Token]) -> list[str]:
    """Each address among words without separators."""
    found: list[str] = []
    previous = ""
    for kind, value in tokens:
        if kind == "c":
            continue
        if previous == "" or (kind in "aql<" and previous in "aql"):
            found.append("")
        found[-1] += value
        previous = kind
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kinds: a atom, q quoted, l literal, c comment, and the special characters themselves."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char in " \t":
            position += 1
        elif char == "(":
            position = _after_comment(text, position)
            tokens.append(("c", ""))
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
