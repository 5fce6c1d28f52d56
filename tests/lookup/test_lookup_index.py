import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.lookup.index import IndexReader, IndexWriter, is_index

KEYS = st.text(min_size=1, max_size=700).filter(lambda key: "\0" not in key)
VALUES = st.text(max_size=50).filter(lambda value: "\0" not in value)


def write(path, table, **options):
    with IndexWriter(str(path), content_bytes=1000, mode=0o640, **options) as writer:
        for key, value in table.items():
            assert writer.add(key, value)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6), st.booleans())
def test_what_is_written_is_read_again(tmp_path_factory, table, with_null):
    path = tmp_path_factory.mktemp("index") / "t.db"
    write(path, table, with_null=with_null)
    reader = IndexReader(str(path))
    assert dict(reader.entries()) == table
    assert all(reader.get(key) == value for key, value in table.items())
    assert reader.get("another key") == table.get("another key")


def test_a_large_index_is_read_where_it_lies(tmp_path):
    path = tmp_path / "t.db"
    write(path, {f"key{number}": "v" * 100 for number in range(50_000)} | {"k" * 600: "long"})
    reader = IndexReader(str(path))
    assert reader._small is None
    assert reader.get("key77") == "v" * 100
    assert reader.get("k" * 600) == "long"
    assert reader.get("absent") is None


def test_the_first_of_two_entries_stays_unless_it_is_to_be_replaced(tmp_path):
    with IndexWriter(str(tmp_path / "t.db"), content_bytes=0, mode=0o644) as writer:
        assert writer.add("a", "1")
        assert not writer.add("a", "2")
        assert writer.add("b", "1")
        assert writer.add("b", "2", replace=True)
    assert dict(IndexReader(str(tmp_path / "t.db")).entries()) == {"a": "1", "b": "2"}


def test_an_index_that_is_not_finished_leaves_the_old_one_and_nothing_else(tmp_path):
    write(tmp_path / "t.db", {"a": "1"})
    with pytest.raises(RuntimeError), IndexWriter(str(tmp_path / "t.db"), content_bytes=0, mode=0o644) as writer:
        writer.add("b", "2")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["t.db"]
    assert IndexReader(str(tmp_path / "t.db")).get("a") == "1"


def test_the_mode_is_as_asked_for_and_reading_leaves_no_lock_file(tmp_path):
    write(tmp_path / "t.db", {"a": "1"})
    assert os.stat(tmp_path / "t.db").st_mode & 0o777 == 0o640
    os.chmod(tmp_path / "t.db", 0o444)
    assert IndexReader(str(tmp_path / "t.db")).get("a") == "1"
    assert os.listdir(tmp_path) == ["t.db"]


def test_other_files_are_no_index(tmp_path):
    (tmp_path / "t.db").write_bytes(b"\0" * 12 + b"\x61\x15\x06\x00" + b"\0" * 100)
    assert not is_index(str(tmp_path / "t.db"))
