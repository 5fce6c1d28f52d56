from hypothesis import given
from hypothesis import strategies as st

from posthouse.lookup.aliases_text import read_aliases
from posthouse.lookup.text_map import Entry, Problem, decode, logical_lines, read_entries

PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


def entries(text):
    return [(entry.key, entry.value) for entry in read_entries(text) if isinstance(entry, Entry)]


def problems(text):
    return [entry.shown("t") for entry in read_entries(text) if isinstance(entry, Problem)]


def test_a_line_that_begins_with_white_space_continues_the_one_before():
    assert [line.text for line in logical_lines("a b\n  c\n# no\n\n\td\ne f\n")] == ["a b  c\td", "e f"]


def test_a_logical_line_has_the_number_of_its_first_line():
    assert [line.number for line in logical_lines("# c\n\na b\n c\nd e")] == [3, 5]


def test_a_key_keeps_its_quotes_and_the_spaces_in_them():
    assert entries('"a b" c\n"q\\"x" d\n') == [('"a b"', "c"), ('"q\\"x"', "d")]


def test_what_is_wrong_with_a_line_is_said_as_postmap_says_it():
    text = decode(b'  lead\nkey value\n"bad quo\n"only"\nx: y\n\xff\xfe bin\n')
    assert problems(text) == [
        't: logical line must not start with whitespace: "  lead"',
        "t, line 3: unbalanced '\"' in '\"bad quo' -- ignoring this line",
        "t, line 4: expected format: key whitespace value",
        't, line 5: record is in "key: value" format; is this an alias file?',
        't, line 6: non-UTF-8 input "?? bin" -- ignoring this line',
    ]


def test_a_line_of_ten_megabytes_is_left_out_and_said():
    assert problems("k " + "v" * 10_000_000)[0].startswith("t, line 1: line of 10000002 characters is too long")


def test_a_null_byte_is_left_out_and_said():
    assert problems("k v\0w\n") == ["t, line 1: null byte in text -- ignoring this line"]


@given(st.lists(st.tuples(PLAIN.filter(lambda key: key[0] != "#" and '"' not in key), PLAIN), max_size=8))
def test_what_is_written_as_text_is_read_again(pairs):
    text = "".join(f"{key} {value}\n" for key, value in pairs)
    assert entries(text) == pairs


def test_aliases_are_names_and_members():
    text = 'root: a,b\n"quoted key": c\n  cont\nx :include:/foo\ny: "|cmd arg", /file, (c) z\n'
    assert [(entry.key, entry.value) for entry in read_aliases(text)] == [
        ("root", "a, b"),
        ("quoted key", "c cont"),
        ("x", "include:/foo"),
        ("y", '"|cmd arg", /file, (c) z'),
    ]


def test_an_alias_without_members_or_with_a_domain_is_left_out():
    assert [entry.shown("a") for entry in read_aliases("bad\n: empty\nnoval:\n@dom: z\nA@b: c\n")] == [
        "a, line 1: need name:value pair",
        "a, line 2: need name:value pair",
        "a, line 3: need name:value pair",
        "a, line 4: name must be local",
        "a, line 5: name must be local",
    ]


@given(st.text())
def test_no_text_breaks_the_readers(text):
    list(read_entries(text))
    list(read_aliases(text))
