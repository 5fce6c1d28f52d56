"""Files and functions stay small enough to read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/posthouse"
FILE_LIMIT, FUNCTION_LIMIT, CLASS_LIMIT = 500, 50, 250

# Path below src/posthouse: why it may be longer.
LONG_FILES = {
    "config/parameters": "one declarative line per parameter",
}
LONG_FUNCTIONS: dict[str, str] = {}
LONG_CLASSES: dict[str, str] = {}

FILES = sorted(path for path in SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_small(path):
    if any(name_of(path).startswith(start) for start in LONG_FILES):
        return
    assert len(path.read_text().splitlines()) <= FILE_LIMIT


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_and_classes_are_small(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit, excused = FUNCTION_LIMIT, LONG_FUNCTIONS
        elif isinstance(node, ast.ClassDef):
            limit, excused = CLASS_LIMIT, LONG_CLASSES
        else:
            continue
        lines = (node.end_lineno or 0) - node.lineno + 1
        assert lines <= limit or f"{name_of(path)}:{node.name}" in excused, f"{node.name} has {lines} lines"


def test_there_is_no_house_for_odds_and_ends():
    forbidden = {"util", "utils", "common", "misc", "helper", "helpers", "manager_base"}
    assert not [name_of(path) for path in FILES if path.stem in forbidden]
