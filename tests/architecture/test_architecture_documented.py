"""Whatever an administrator can name is documented, and the documentation is what the code says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from posthouse.config.parameters import PARAMETERS
from posthouse.config.unsupported import UNSUPPORTED
from posthouse.lookup.table import table_types
from posthouse.policy.catalogue import all_restrictions

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/posthouse"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.read_text().strip())
DIFFERENCES = (ROOT / "docs/differences_from_postfix.md").read_text()


def test_the_reference_is_what_the_code_says():
    done = subprocess.run(
        [sys.executable, ROOT / "packaging/write_reference", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_parameter_has_a_sentence():
    assert not [line.name for line in PARAMETERS.values() if not re.fullmatch(r"\S.{8,}\.", line.sentence)]


def test_every_restriction_has_its_manual_text():
    assert not [entry.name for entry in all_restrictions() if not re.match(r"\S.{8,}\.", entry.manual, re.DOTALL)]


def test_every_table_type_says_what_it_is():
    docs = {kind: import_module(f"posthouse.lookup.tables.{kind}").__doc__ or "" for kind in table_types()}
    assert not [kind for kind, text in docs.items() if not text.startswith(f"{kind}: ")]


def test_what_has_no_effect_is_a_parameter():
    for name in UNSUPPORTED:
        assert any(known.startswith(name.rstrip("*")) for known in PARAMETERS), name


def test_our_own_parameters_are_listed_as_differences():
    groups = tuple(re.findall(r"`(posthouse_\w+_)\*`", DIFFERENCES))
    ours = [name for name in PARAMETERS if name.startswith("posthouse_") and not name.startswith(groups)]
    assert not [name for name in ours if f"`{name}`" not in DIFFERENCES]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_says_what_it_does(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "the module has no docstring"


def test_every_difference_that_the_source_marks_is_in_the_list():
    """A comment "Differs from Postfix:" needs a row that names its file."""
    marked = {str(path.relative_to(SOURCE)) for path in MODULES if "Differs from Postfix:" in path.read_text()}
    listed = set(re.findall(r"`([\w/]+\.py)`", DIFFERENCES))
    assert not marked - listed
    assert not [name for name in listed if not (SOURCE / name).exists()]
