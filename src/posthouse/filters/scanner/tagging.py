"""What the scanner writes into the header of mail that it lets pass: X-Virus-Scanned, X-Spam-*, a subject tag."""

from __future__ import annotations

import re

from posthouse.filters.scanner.judge import Decision, Findings, Levels

_OURS = re.compile(
    rb"^(?:X-Spam-(?:Flag|Score|Level|Status)|X-Virus-Scanned):[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT = re.compile(rb"^(Subject:[ \t]*)", re.IGNORECASE | re.MULTILINE)
MAX_STARS = 64


def tagged_header(header: bytes, lines: list[str], subject_tag: str) -> bytes:
    """The header with our fields on top and the subject marked ("" leaves it). Others' fields of those names go."""
    header = _OURS.sub(b"", header)
    if subject_tag:
        tag = subject_tag.encode()
        header, count = _SUBJECT.subn(lambda found: found[1] + tag, header, count=1)
        if not count:
            header += b"Subject: " + tag.strip() + b"\n"
    return "".join(f"{line}\n" for line in lines).encode() + header


def fields(findings: Findings, decision: Decision, levels: Levels, *, scanned_by: str) -> list[str]:
    """The fields in amavisd's order; scanned_by "" leaves X-Virus-Scanned out."""
    lines = [f"X-Virus-Scanned: {scanned_by}"] if scanned_by else []
    if findings.score is None or not decision.tagged:
        return lines
    word = "Yes" if decision.marked else "No"
    if decision.marked:
        lines.append("X-Spam-Flag: YES")
    lines.append(f"X-Spam-Score: {_number(findings.score)}")
    lines.append(f"X-Spam-Level: {'*' * min(int(max(findings.score, 0)), MAX_STARS)}".rstrip())
    tests = ", ".join(findings.tests) or "none"
    status = (
        f"X-Spam-Status: {word}, score={_number(findings.score)} tagged_above={_number(levels.tag)}\n"
        f"\trequired={_number(levels.tag2)} tests=[{_folded(tests)}] autolearn=unavailable"
    )
    return [*lines, status]


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _folded(tests: str) -> str:
    """Long lists on lines of their own."""
    lines, line = [], ""
    for name in tests.split(", "):
        if line and len(line) + len(name) > 60:
            lines.append(f"{line},")
            line = name
        else:
            line = f"{line}, {name}" if line else name
    return "\n\t".join([*lines, line])
