"""postconf -M, -F and -P with -e, -X or -#: services of master.cf are changed where they stand (postconf(1))."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from posthouse.commands.postconf import Request, UsageError, warn
from posthouse.commands.postconf_edit import check_text, read_lines, replace_file
from posthouse.commands.postconf_master import entry_text, matches, split_request
from posthouse.config.master_cf import COLUMNS, Entry, check_columns, parse_entries, split_words, unbraced
from posthouse.errors import ConfigError


@dataclass(slots=True)
class Change:
    """One request: which services, and what becomes of their lines (None: nothing remains)."""

    text: str
    name: str
    type: str
    apply: Callable[[Entry], Entry | None]
    found: bool = False

    def concerns(self, name: str, kind: str) -> bool:
        return matches(self.name, name) and matches(self.type, kind)


@dataclass(frozen=True, slots=True)
class Block:
    """A service in master.cf with the comments and empty lines that come before the next one."""

    lines: tuple[str, ...]

    @property
    def entry_lines(self) -> list[str]:
        return [line for line in self.lines if not is_silent(line)]

    @property
    def identity(self) -> tuple[str, str]:
        words = "".join(self.entry_lines).split(None, 2)
        return (words[0], words[1]) if len(words) > 1 else ("", "")


def is_silent(line: str) -> bool:
    """Whether a line is a comment, or empty."""
    return line.isspace() or line.lstrip().startswith("#")


def blocks_of(lines: list[str]) -> tuple[list[str], list[Block]]:
    """What comes before the first service, and the services."""
    head: list[str] = []
    blocks: list[list[str]] = []
    for line in lines:
        if not is_silent(line) and not line[0].isspace():
            blocks.append([line])
        else:
            (blocks[-1] if blocks else head).append(line)
    return head, [Block(tuple(block)) for block in blocks]


def _entry(text: str, file: str) -> Entry:
    return parse_entries(text, file)[0]


def edit(request: Request) -> int:
    """Postconf -Me, -MX, -M#, -Fe, -Pe, -PX."""
    file = os.path.join(request.directory, "master.cf")
    if not request.names:
        raise UsageError("-e requires name=value argument" if "e" in request.flags else "missing service argument")
    for text in request.names:
        check_text(text)
    changes = [_change(request, text, file) for text in request.names]
    head, blocks = blocks_of(read_lines(file))
    parts = ["".join(head)]
    for block in blocks:
        parts.extend(_edited(request, block, changes, file))
    for change in changes:
        if change.found:
            continue
        if "M" in request.flags and "e" in request.flags:
            new = change.apply(_PLACEHOLDER)
            parts.append("" if new is None else f"{entry_text(new, fold=True)}\n")
        elif "M" not in request.flags:
            warn(f'unmatched service_name/type: "{change.text}"')
    replace_file(file, "".join(parts))
    return 0


_PLACEHOLDER = Entry(("", "", "-", "-", "-", "-", "-", ""), (), "", 0)


def _edited(request: Request, block: Block, changes: list[Change], file: str) -> list[str]:
    """The text of one service after all changes."""
    mine = [change for change in changes if change.concerns(*block.identity)]
    if not mine:
        return list(block.lines)
    for change in mine:
        change.found = True
    if "#" in request.flags:
        return [line if is_silent(line) else f"#{line}" for line in block.lines]
    silent = [line for line in block.lines if is_silent(line)]
    if "M" in request.flags:
        new = None if "X" in request.flags else mine[-1].apply(_PLACEHOLDER)
        return [*([] if new is None else [f"{entry_text(new, fold=True)}\n"]), *silent]
    entry: Entry | None = _entry("".join(block.entry_lines), file)
    for change in mine:
        entry = entry and change.apply(entry)
    return [*silent, *([] if entry is None else [f"{entry_text(entry, fold=True)}\n"])]


def _change(request: Request, text: str, file: str) -> Change:
    """What one argument asks for."""
    target, sign, value = text.partition("=")
    target, value = target.strip(), value.strip()
    if "M" in request.flags:
        return _service_change(request, text, target, value, file)
    pieces = split_request(target, 3)
    if len(pieces) != 3:
        what = "field_name" if "F" in request.flags else "parameter"
        letters = "-Fe or -FX" if "F" in request.flags else "-Pe or -PX"
        raise UsageError(f"{letters} requires service_name/type/{what}")
    name, kind, field = (piece.strip() for piece in pieces)
    if "e" in request.flags and not sign:
        raise UsageError(f"missing '=' after attribute name: \"{text}\"")
    if "F" in request.flags:
        return Change(text, name, kind, _field_change(field, value))
    if "X" in request.flags:
        return Change(text, name, kind, lambda entry: with_override(entry, field, None))
    if any(letter.isspace() for letter in value):
        raise UsageError("-Pe does not accept whitespace in parameter value")
    return Change(text, name, kind, lambda entry: with_override(entry, field, value))


def _service_change(request: Request, text: str, target: str, value: str, file: str) -> Change:
    pieces = split_request(target, 2)
    if len(pieces) != 2:
        raise UsageError("-Me, -MX or -M# requires service_name/type")
    if "e" not in request.flags:
        return Change(text, pieces[0], pieces[1], lambda _entry: None)
    if "=" not in text:
        raise UsageError(f"missing '=' after attribute name: \"{text}\"")
    columns = value.split(None, 8)
    if len(columns) < 8:
        raise UsageError(f'bad field count: "{text}"')
    new = _entry(value, file)
    return Change(text, pieces[0], pieces[1], lambda _entry: new)


def _field_change(field: str, value: str) -> Callable[[Entry], Entry | None]:
    if field not in COLUMNS:
        raise UsageError(f'invalid service attribute name: "{field}"')

    def apply(entry: Entry) -> Entry:
        if field == "command":
            return replace(entry, fields=(*entry.fields[:7], " ".join(split_words(value))), words=())
        columns = [value if column == field else old for column, old in zip(COLUMNS, entry.fields, strict=True)]
        wrong = check_columns(columns, value) if value else ""
        if wrong:
            raise ConfigError(wrong)
        return replace(entry, fields=tuple(columns))

    return apply


def with_override(entry: Entry, name: str, value: str | None) -> Entry:
    """The service with -o name=value changed or added; without it, where value is None."""
    words: list[str] = []
    rest = list(entry.words)
    done = value is None
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        setting = rest.pop(0) if word == "-o" and rest else None
        if setting is None:
            words.append(word)
        elif unbraced(setting).partition("=")[0].strip() != name:
            words += [word, setting]
        elif not done:
            words += [word, f"{name}={value}"]
            done = True
    if not done:
        words += ["-o", f"{name}={value}"]
    return replace(entry, words=(*words, *rest))
