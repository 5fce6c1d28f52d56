"""The scanner's fields as changes that a milter asks for: the mail gets the same header as by tagging."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.filters.scanner.tagging import Additions
from posthouse.protocols.milter_server import Agreed, Field, add_field, change_field, insert_field


def header_changes(
    fields: Sequence[Field], additions: Additions, removed: Sequence[str], agreed: Agreed
) -> list[bytes]:
    """Packets that remove the fields of the removed names, put ours on top, and mark the subject."""
    names = {name.lower().encode() for name in removed}
    space = " " if agreed.leading_space else ""
    changes: list[bytes] = []
    seen: dict[bytes, int] = {}
    for field in fields:
        seen[field.name.lower()] = seen.get(field.name.lower(), 0) + 1
    for name, count in seen.items():
        if name in names:  # from the last on, so that the numbers of the others stay
            changes += [change_field(index, name, b"") for index in range(count, 0, -1)]
    if additions.subject_tag:
        changes.append(_subject(fields, additions.subject_tag, space))
    changes += [insert_field(0, name, space + value) for name, value in reversed(additions.fields)]
    return changes


def _subject(fields: Sequence[Field], tag: str, space: str) -> bytes:
    for field in fields:
        if field.name.lower() == b"subject":
            mark = f"{space}{tag}".encode("utf-8", "surrogateescape")
            return change_field(1, field.name, mark + field.value.lstrip(b" \t"))
    return add_field("Subject", space + tag.strip())
