import os
import time

import pytest

from posthouse.commands import postmap
from posthouse.errors import LookupFailed
from posthouse.lookup import freshness
from posthouse.lookup.maps import open_maps_from
from posthouse.lookup.table import (
    BadTable,
    Options,
    TableUnavailable,
    failure_warnings,
    make_table,
    open_table,
    table_types,
)


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch):
    monkeypatch.setattr(freshness, "INTERVAL_S", 0.0)


def table(spec, settings, **options):
    return make_table(Options(spec, settings, **options))


def write_later(path, text):
    """As somebody who edits the file a moment later."""
    path.write_text(text)
    later = time.time_ns() + 50_000_000
    os.utime(path, ns=(later, later))


def test_every_type_has_a_file():
    assert {
        "hash",
        "btree",
        "lmdb",
        "texthash",
        "inline",
        "static",
        "cidr",
        "regexp",
        "pcre",
        "unionmap",
        "pipemap",
    } <= set(table_types())


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])
def test_a_text_without_index_serves(settings, tmp_path, kind):
    (tmp_path / "t").write_text("Key value\n")
    assert table(f"{kind}:{tmp_path}/t", settings).lookup("KEY") == "value"


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])
def test_the_index_is_used_and_every_change_is_seen(settings, tmp_path, kind):
    text = tmp_path / "t"
    text.write_text("key one\n")
    spec = f"{kind}:{text}"
    assert postmap.main(["-c", str(tmp_path), spec]) == 0
    opened = table(spec, settings)
    assert opened.lookup("key") == "one"
    write_later(text, "key two\n")
    assert opened.lookup("key") == "two"
    later = time.time_ns() + 100_000_000
    assert postmap.main(["-c", str(tmp_path), spec]) == 0
    os.utime(tmp_path / f"t{'.lmdb' if kind == 'lmdb' else '.db'}", ns=(later, later))
    assert opened.lookup("key") == "two"
    text.unlink()
    assert opened.lookup("key") == "two"


def test_an_index_of_berkeley_db_is_no_obstacle(settings, tmp_path):
    (tmp_path / "t").write_text("key value\n")
    (tmp_path / "t.db").write_bytes(b"\0" * 12 + b"\x61\x15\x06\x00" + b"\0" * 100)
    assert table(f"hash:{tmp_path}/t", settings).lookup("key") == "value"


def test_a_damaged_index_without_text_fails_and_says_why(settings, tmp_path):
    (tmp_path / "t.db").write_bytes(b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\xff" * 5000)
    with pytest.raises(TableUnavailable):
        table(f"hash:{tmp_path}/t", settings).lookup("key")


def test_a_table_that_is_not_there_fails_with_the_texts_of_the_log(settings, tmp_path, said):
    opened = open_table(f"hash:{tmp_path}/absent", settings)
    with pytest.raises(LookupFailed) as failed:
        opened.lookup("info@example.org")
    text = f"open database {tmp_path}/absent.db: No such file or directory"
    assert said == [f"error: {text}"]
    assert failure_warnings(failed.value, "info@example.org") == (
        f"hash:{tmp_path}/absent is unavailable. {text}",
        f'hash:{tmp_path}/absent lookup error for "info@example.org"',
    )
    (tmp_path / "absent").write_text("info@example.org here\n")
    assert opened.lookup("info@example.org") == "here"


def test_parameters_share_a_table(settings, tmp_path):
    assert open_table(f"hash:{tmp_path}/t", settings) is open_table(f"hash:{tmp_path}/t", settings)


def test_a_file_of_aliases_is_read_as_such_without_index(tmp_path, settings):
    (tmp_path / "aliases").write_text("root: joe,jane\n")
    view = settings.with_overrides({"alias_maps": f"hash:{tmp_path}/aliases"})
    assert open_table(f"hash:{tmp_path}/aliases", view).lookup("Root") == "joe, jane"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("nosuchtype:x", "unsupported dictionary type: nosuchtype"),
        ("../hash:x", "unsupported dictionary type: ../hash"),
        ("hash:", 'open dictionary: expecting "type:name" form instead of "hash:"'),
        ("inline:x", 'bad syntax: "inline:x"; need "inline:{name=value...}"'),
        ("inline:{ }", 'empty table: "inline:{ }"; need "inline:{name=value...}"'),
        ("static:{ a b } x", "bad static:name syntax: syntax error after '}' in \"{ a b } x\""),
        ("unionmap:{one}", 'bad syntax: "unionmap:{one}"; need "unionmap:{type:name...}"'),
        ("unix:foo", "unknown table: unix:foo"),
        ("tcp:127.0.0.1", "127.0.0.1: garbage after numerical service"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused_in_postfixs_words(settings, spec, text):
    with pytest.raises(BadTable) as bad:
        table(spec, settings)
    assert bad.value.text == text


def test_missing_types_say_what_is_missing(settings):
    with pytest.raises(LookupFailed, match="needs a MySQL client library"):
        open_table("mysql:/x.cf", settings).lookup("k")


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        ("inline:{ {k = one, two}, {j = three} }", "K", "one, two"),
        ("inline:{a=b, a=c}", "a", "c"),
        ("static:{ a b }", "any", "a b"),
        ("unionmap:{static:one,inline:{k=two},static:three}", "k", "one,two,three"),
        ("unionmap:{inline:{k=two}}", "j", None),
        ("pipemap:{inline:{k=two},inline:{two=three}}", "k", "three"),
        ("pipemap:{inline:{k=two},inline:{two=three}}", "j", None),
        ("randmap:{a}", "k", "a"),
        ("proxy:inline:{a=b}", "A", "b"),
        ("internal:x", "k", None),
        ("unix:passwd.byname", "root", "root:x:0:0:root:/root:/bin/bash"),
        ("unix:passwd.byname", "no such user", None),
        ("regexp:{{/^k(.*)/ got ${1}$$}}", "Kx", "got x$"),
        ("pcre:{{!/^k/ no}, {/(?<=k)(\\d+)/ $1}}", "k77", "77"),
        ("cidr:{{!10.0.0.0/8 outside}, {10.1.0.0/16 sub}}", "10.1.2.3", "sub"),
        ("cidr:{{!10.0.0.0/8 outside}}", "192.0.2.1", "outside"),
        ("cidr:{{[2001:db8::]/32 six}}", "2001:0db8:0::5", "six"),
    ],
)
def test_what_tables_answer(settings, spec, key, value):
    assert table(spec, settings).lookup(key) == value


def test_fail_fails(settings):
    with pytest.raises(LookupFailed):
        table("fail:x", settings).lookup("k")


def test_the_first_table_with_an_answer_wins_and_patterns_see_only_the_whole(settings):
    maps = open_maps_from(settings, ["inline:{a=1}", "regexp:{{/./ 2}}", "inline:{b=3}"])
    assert [maps.lookup(key) for key in ("a", "b")] == ["1", "2"]
    assert maps.lookup("b", partial=True) == "3"
    assert maps.answering("b") == ("regexp:{{/./ 2}}", "2")


def test_if_and_endif_nest_and_mistakes_are_said(settings, tmp_path, said):
    (tmp_path / "r").write_text(
        "/bad( foo\n/^z/q zz\nif /^k/\n/^kk/ one\nif !/x/\n/^ky/ two\nendif\nendif\nendif\nfoo\n/noend\n"
        "/x/\n/dd/ ${1}\n!/^neg/ $1\nif /open/ junk\n"
    )
    opened = table(f"regexp:{tmp_path}/r", settings)
    assert [opened.lookup(key) for key in ("kk", "ky", "kyx", "ykk")] == ["one", "two", "", None]
    where = f"warning: regexp map {tmp_path}/r, line"
    assert said == [
        f'{where} 1: no closing regexp delimiter "/": skipping this rule',
        f'{where} 2: unknown regexp option "q": skipping this rule',
        f"{where} 9: ignoring ENDIF without matching IF",
        f"{where} 10: ignoring unrecognized request",
        f'{where} 11: no closing regexp delimiter "/": skipping this rule',
        f"{where} 12: no replacement text: using empty string",
        f'{where} 13: out of range replacement index "1": skipping this rule',
        f"{where} 14: $number found in negative match replacement text: skipping this rule",
        f'{where} 15: ignoring extra text after IF statement: "junk"',
        f"{where} 15: do not prepend whitespace to statements between IF and ENDIF",
        f"{where} 15: IF has no matching ENDIF",
    ]


def test_a_changed_file_of_rules_is_read_again(settings, tmp_path):
    (tmp_path / "r").write_text("/k/ one\n")
    opened = table(f"pcre:{tmp_path}/r", settings)
    assert opened.lookup("k") == "one"
    write_later(tmp_path / "r", "/k/ two\n")
    assert opened.lookup("k") == "two"


def test_a_hostile_key_cannot_hang_us(settings):
    opened = table("pcre:{{/^(a+)+$/ x}}", settings)
    begin = time.monotonic()
    with pytest.raises(LookupFailed, match="match limit"):
        opened.lookup("a" * 60 + "!")
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        (r"^a{2}$", "aa", True),
        (r"\d", "5", False),
        (r"\<foo\>", "a foo b", True),
        (r"[a\]x", r"\x", True),
        (r"[]a]x", "]x", True),
        (r"a+?$", "", True),
        (r"(a)\1", "aa", True),
        (r"end$", "end\n", False),
        (r"[[:alpha:]]{3}", "ab1", False),
        (r"a)", "a)", True),
    ],
)
def test_posix_expressions_mean_what_the_c_library_means(settings, pattern, key, matches):
    assert (table(f"regexp:{{{{/{pattern}/ yes}}}}", settings).lookup(key) == "yes") is matches
