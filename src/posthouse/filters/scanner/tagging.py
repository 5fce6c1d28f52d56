"""What the scanner writes into the header of mail that it lets pass: X-Virus-Scanned, X-Spam-*, X-Amavis-Alert, a
subject tag. The same fields go into a header at hand, or to a milter's client as changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from posthouse.filters.scanner.judge import Decision, Findings, Kind

MAX_STARS = 64
WIDTH = 78
_ALERTS = {
    Kind.INFECTED: "INFECTED, message contains virus:", Kind.BANNED: "BANNED, message contains",
    Kind.UNCHECKED: "UNCHECKED contents,", Kind.BAD_HEADER: "BAD HEADER SECTION,",
}  # fmt: skip
SPAM_FIELDS = (
    "X-Spam-Flag",
    "X-Spam-Score",
    "X-Spam-Level",
    "X-Spam-Status",
    "X-Spam-Report",
    "X-Spam-Checker-Version",
)
OWN_FIELDS = (*SPAM_FIELDS, "X-Amavis-Alert", "X-Amavis-Hold", "X-Quarantine-ID", "X-Posthouse-Scan-Note")


@dataclass(frozen=True, slots=True)
class Additions:
    """Fields for the top of the header, name and value (which may have line ends within), and what goes before the
    subject ("" nothing).
    """

    fields: tuple[tuple[str, str], ...]
    subject_tag: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written whoever the recipient is: the field that says who scanned, X-Quarantine-ID; "" leaves one out."""

    scanned_field: str = "X-Virus-Scanned"
    scanned_by: str = ""
    quarantine_id: str = ""
    star: str = "*"


def additions(findings: Findings, decision: Decision, marks: Marks) -> Additions:
    """For one recipient, in amavisd's order."""
    fields: list[tuple[str, str]] = []
    if marks.quarantine_id:
        fields.append(("X-Quarantine-ID", f"<{marks.quarantine_id}>"))
    if marks.scanned_by and marks.scanned_field:
        fields.append((marks.scanned_field, marks.scanned_by))
    alert = _ALERTS.get(decision.kind)
    if alert is not None:
        fields.append(("X-Amavis-Alert", _folded("X-Amavis-Alert", f"{alert} {decision.detail}")))
    fields += [("X-Posthouse-Scan-Note", note) for note in findings.notes]
    if decision.personal.is_local and decision.tagged:
        fields += _spam_fields(decision, marks.star)
    tag = decision.personal.subject_tags.get(_tagged_as(decision), "") if decision.personal.is_local else ""
    return Additions(tuple(fields), tag)


def _tagged_as(decision: Decision) -> Kind:
    if decision.kind in (Kind.INFECTED, Kind.BANNED, Kind.UNCHECKED):
        return decision.kind
    return Kind.SPAMMY if decision.marked else Kind.CLEAN if decision.tagged else Kind.BAD_HEADER


def _spam_fields(decision: Decision, star: str) -> list[tuple[str, str]]:
    spam, levels = decision.spam, decision.personal.levels
    if spam is None:
        return []
    word = "Yes" if decision.marked else "No"
    tests = ", ".join(spam.tests) or "none"
    status = (
        f"{word}, score={number(spam.score)} tagged_above={number(levels.tag)} required={number(levels.tag2)} "
        f"tests=[{tests}] autolearn=unavailable"
    )
    return [
        ("X-Spam-Flag", "YES" if decision.marked else "NO"),
        ("X-Spam-Score", number(spam.score)),
        ("X-Spam-Level", star * min(int(max(spam.score, 0)), MAX_STARS)),
        ("X-Spam-Status", _folded("X-Spam-Status", status)),
    ]


def number(value: float | None) -> str:
    """A score as it is written."""
    if value is None:
        return "x"
    return f"{value:.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def _folded(name: str, value: str) -> str:
    """A value on lines of a fitting length."""
    lines, line = [], f"{name}:"
    for word in value.split():
        if len(line) + 1 + len(word) > WIDTH and line.strip():
            lines.append(line)
            line = f" {word}"
        else:
            line = f"{line} {word}"
    return "\n".join([*lines, line]).removeprefix(f"{name}:").removeprefix(" ")


def tagged_header(header: bytes, additions: Additions, removed: tuple[str, ...]) -> bytes:
    """The header with the fields on top and the subject marked; fields of the removed names are gone."""
    header = _pattern(removed).sub(b"", header)
    if additions.subject_tag:
        header = _with_subject(header, additions.subject_tag.encode("utf-8", "surrogateescape"))
    top = "".join(f"{name}: {value}".rstrip() + "\n" for name, value in additions.fields)
    return top.encode("utf-8", "surrogateescape") + header


_SUBJECT = re.compile(rb"^Subject[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)


def _with_subject(header: bytes, tag: bytes) -> bytes:
    found = _SUBJECT.search(header)
    if found is None:
        return header + b"Subject: " + tag.strip() + b"\n"
    return header[: found.start()] + b"Subject: " + tag + header[found.end() :]


@lru_cache(maxsize=32)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    words = "|".join(re.escape(name) for name in names).encode()
    return re.compile(rb"^(?:%b)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*" % words, re.IGNORECASE | re.MULTILINE)
