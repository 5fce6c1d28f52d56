"""Text in braces, as it stands in table names: "{ {a = b}, c=d }" (postconf(5), DATABASE_README)."""

from __future__ import annotations

_SEPARATORS = ", \t\r\n"


def closing_brace(text: str) -> int:
    """Where the brace closes that opens at the text's first character; -1 where it does not."""
    depth = 0
    for position, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return position
    return -1


def split_items(text: str) -> list[str]:
    """Items between commas and white space; within braces these are part of the item. The braces stay."""
    items: list[str] = []
    depth, start = 0, -1
    for position, character in enumerate(text):
        if not depth and character in _SEPARATORS:
            if start >= 0:
                items.append(text[start:position])
            start = -1
            continue
        if start < 0:
            start = position
        depth += (character == "{") - (character == "}")
        depth = max(depth, 0)
    if start >= 0:
        items.append(text[start:])
    return items
