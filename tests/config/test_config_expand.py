"""$names in values, as Postfix 3.7 expands them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.expand import ExpansionError, expand, level

NAMES = {"a": "x y", "one": "1", "ten": "10", "empty": "", "compatibility_level": "3.6"}

TABLE = [
    ("plain", "plain"),
    ("$one", "1"),
    ("${one}", "1"),
    ("$(one)", "1"),
    ("$one-b $ten.c", "1-b 10.c"),
    ("$$one", "$one"),
    ("$undefined.", "."),
    ("${a?yes}", "yes"),
    ("${empty?yes}", ""),
    ("${undefined?yes}", ""),
    ("${a:no}", ""),
    ("${empty:no}", "no"),
    ("${undefined:{no}}", "no"),
    ("${a?x y z}", "x y z"),
    ("${a ? {one} : {two}}", "one"),
    ("${empty ? {one} : {two}}", "two"),
    ("${undefined?{one}:{$ten}}", "10"),
    ("${{1} < {10} ? {lt} : {ge}}", "lt"),
    ("${{9} < {10} ? {lt} : {ge}}", "lt"),
    ("${{10} < {9x} ? {lt}:{ge}}", "lt"),
    ("${{a} < {b} ? {lt}:{ge}}", "lt"),
    ("${{abc} == {abc}}", "true"),
    ("${{abc} != {abc}}", ""),
    ("${{$one} == {1} ? {same}}", "same"),
    ("${{5} >= {5} ? {y} : {n}} ${{5} > {5} ? {y} : {n}} ${{4} <= {5} ? {y} : {n}}", "y n y"),
    ("${{$compatibility_level} >=level {3.5} ? {new}}", "new"),
    ("${{$compatibility_level} <level {3.10} ? {old} : {new}}", "old"),
    ("${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, reject}}", "permit_mynetworks, reject"),
    ("${stress?{1}:{20}}s", "20s"),
]


@pytest.mark.parametrize(("value", "expanded"), TABLE)
def test_a_value_is_expanded_as_postfix_does(value: str, expanded: str) -> None:
    assert expand(value, NAMES.get) == expanded


@pytest.mark.parametrize("value", ["${one", "$(one", "$ x", "${}", "${{1} ? {x}}", "${{1} = {1}}", "${one ! x}", "$"])
def test_a_malformed_value_is_refused(value: str) -> None:
    with pytest.raises(ExpansionError):
        expand(value, NAMES.get)


@given(st.text(alphabet=st.characters(blacklist_characters="$"), max_size=50))
def test_a_text_without_dollars_stays_as_it_is(text: str) -> None:
    assert expand(text, NAMES.get) == text


@given(st.text(max_size=60))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        expand(text, NAMES.get)
    except ExpansionError:
        pass


def test_nesting_is_bounded() -> None:
    with pytest.raises(ExpansionError, match="nesting"):
        expand("${one?{" * 150 + "x" + "}}" * 150, NAMES.get)


def test_levels_compare_by_their_numbers() -> None:
    assert level("3.6") < level("3.10") < level("4")
    with pytest.raises(ExpansionError):
        level("three")
