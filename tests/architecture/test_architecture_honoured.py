"""Every parameter of main.cf is asked for somewhere in the house, or its reason for not being so is written down."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from posthouse.config.parameters import PARAMETERS
from posthouse.config.unsupported import NOT_NEEDED, UNSUPPORTED, reason_against

SOURCE = Path(__file__).parents[2] / "src" / "posthouse"
# Names that are put together from parts too short to be found by looking at one string.
COMPOSED = re.compile(
    r"(smtp|lmtp)_tls_(d|ec)?(cert|key)_file|(smtp_discard_ehlo|lmtp_discard_lhlo)_keywords"
    r"|smtpd_policy_service_\w+|local_destination_(concurrency|recipient)_limit|(mailbox|fallback)_transport_maps"
)


def asked_for() -> tuple[set[str], re.Pattern[str]]:
    """Names in the source outside the tables of parameters, and patterns of f-strings that may become names."""
    names: set[str] = set()
    patterns: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "parameters" or path.name == "unsupported.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
                names.update(re.findall(r"[a-z0-9_]{4,}", node.value))
            elif isinstance(node, ast.JoinedStr):
                fixed = [part.value if isinstance(part, ast.Constant) else "" for part in node.values]
                if len(re.sub("[^a-z]", "", "".join(fixed))) >= 5 and re.fullmatch(r"\w*", "".join(fixed)):
                    patterns.add("".join(text or r"\w*" for text in fixed))
    return names, re.compile("|".join(patterns))


def test_every_parameter_is_asked_for_or_its_reason_is_given():
    names, patterns = asked_for()
    not_needed = {name for text in NOT_NEEDED.values() for name in text.split()}
    forgotten = [
        name
        for name in PARAMETERS
        if name not in names
        and not patterns.fullmatch(name)
        and reason_against(name) is None
        and name not in not_needed
        and not COMPOSED.fullmatch(name)
    ]
    assert forgotten == []


def test_reasons_are_given_for_parameters_that_exist():
    given = [*UNSUPPORTED, *(name for text in NOT_NEEDED.values() for name in text.split())]
    unknown = [
        name
        for name in given
        if name not in PARAMETERS and not (name.endswith("*") and any(p.startswith(name[:-1]) for p in PARAMETERS))
    ]
    assert unknown == []
