"""Names and types of parts that are not let through: $banned_filename_re, and the lists of main.cf (README.banned)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from posthouse.filters.scanner.lookups import Lookup, Patterns, is_true
from posthouse.filters.scanner.message_parts import Component, Path


@dataclass(frozen=True, slots=True)
class BannedRules:
    """words are ".exe" (the end of a name, or a kind) and "application/hta" or "application/*" (a type); patterns are
    amavisd's, of which the first that matches decides: a value that is false lets the part through with all in it.
    """

    words: tuple[str, ...] = ()
    patterns: Lookup = field(default_factory=Lookup)

    @property
    def is_empty(self) -> bool:
        return not self.words and not any(isinstance(table, Patterns) for table in self.patterns.tables)

    def says(self, component: Component) -> bool | None:
        """Whether it is banned (True), let through (False), or not known (None)."""
        verdict: bool | None = None
        for key in _keys(component):
            if self._is_in_words(key):
                return True
            value = self.patterns.find(key)
            if value is not None:
                if is_true(value):
                    return True
                verdict = False
        return verdict

    def _is_in_words(self, key: str) -> bool:
        folded = key.lower()
        for word in self.words:
            if "/" in word:
                if folded == word or (word.endswith("/*") and folded.startswith(word[:-1])):
                    return True
            elif folded.endswith(word):
                return True
        return False


def _keys(component: Component) -> Iterator[str]:
    if component.type:
        yield component.type
    for kind in component.kinds:
        yield f".{kind}"
    for name in component.names:
        yield name
        if (trimmed := name.rstrip(" .\t")) != name:
            yield trimmed  # what Windows makes of it


def find_banned(parts: tuple[Path, ...], rules: BannedRules) -> tuple[str, ...]:
    """Of each part that is banned, what the log says: the part, and what it was in. Raises LookupFailed."""
    if rules.is_empty:
        return ()
    found: dict[str, None] = {}
    for path in parts:
        for number, component in enumerate(path):
            verdict = rules.says(component)
            if verdict:
                found[_shown(path[: number + 1])] = None
            if verdict is not None:
                break
    return tuple(found)


def _shown(path: Path) -> str:
    parts = [part for part in path if not part.type.startswith("multipart/")] or list(path)
    text = " | ".join(part.shown for part in parts)
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
