"""main.cf: logical lines and settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.main_cf import logical_lines, overridden, parse_main_cf, split_setting


def test_comments_and_empty_lines_do_not_end_a_setting() -> None:
    text = "a =\n one\n# comment\n\n  # another\n\ttwo\nb = 1\n"
    assert logical_lines(text) == [(1, "a = one\ttwo"), (7, "b = 1")]


def test_a_setting_may_have_an_equals_sign_in_its_value() -> None:
    assert split_setting("a = b=c ") == ("a", "b=c")
    assert split_setting("a=") == ("a", "")


def test_what_is_no_setting_is_told_in_the_words_of_postfix() -> None:
    assert split_setting("a b = c") == "missing '=' after attribute name"
    assert split_setting("nothing") == "missing '=' after attribute name"
    assert split_setting("= x") == "missing attribute name"


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
        st.lists(st.from_regex(r"[!-~]{1,12}", fullmatch=True), max_size=5),
        max_size=8,
    )
)
def test_what_is_written_is_read_again(values: dict[str, list[str]]) -> None:
    text = "".join(f"{name} = {' '.join(words)}\n" for name, words in values.items())
    assert {setting.name: setting.value for setting in parse_main_cf(text, "main.cf")} == {
        name: " ".join(words) for name, words in values.items()
    }


def test_a_setting_that_a_later_one_replaces_is_told_with_the_later_line():
    settings = parse_main_cf("a = 1\nb = 2\na = 3\nb = 2\n", "/etc/main.cf")
    assert overridden(settings) == ["/etc/main.cf, line 3: overriding earlier entry: a=1"]
