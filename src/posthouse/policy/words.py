"""A list of restrictions taken apart into words (postconf(5): commas, white space, and braces that keep text whole)."""

from __future__ import annotations

from posthouse.errors import ConfigError

_SEPARATORS = ", \t\r\n"


def split_words(text: str) -> list[str]:
    """The words of a list; a word with braces stays whole, braces included. Raises ConfigError for an open brace."""
    if "{" not in text:
        return text.replace(",", " ").split()
    words: list[str] = []
    start, depth = -1, 0
    for position, character in enumerate(text):
        if depth == 0 and character in _SEPARATORS:
            if start >= 0:
                words.append(text[start:position])
                start = -1
            continue
        start = position if start < 0 else start
        depth += (character == "{") - (character == "}")
        depth = max(depth, 0)
    if depth:
        raise ConfigError(f'missing "}}" in "{text}"')
    if start >= 0:
        words.append(text[start:])
    return words


def without_braces(word: str) -> str:
    """The text inside the braces of "{ text }"; another word as it is."""
    return word[1:-1].strip() if word.startswith("{") and word.endswith("}") else word
