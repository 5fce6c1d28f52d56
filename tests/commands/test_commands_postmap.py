import io
import os
import sys

import pytest

from posthouse.commands import newaliases, postalias, postmap
from posthouse.lookup.index import IndexReader


@pytest.fixture
def house(tmp_path, monkeypatch):
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nmyhostname = mail.example.com\nalias_database = hash:{tmp_path}/aliases\n"
    )
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class _Input(io.TextIOWrapper):
    def __init__(self, text):
        super().__init__(io.BytesIO(text.encode("utf-8", "surrogateescape")), "utf-8")


@pytest.fixture
def say(monkeypatch, capsys):
    """Runs a command: exit code, output, errors."""

    def run(main, *arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", _Input(stdin))
        monkeypatch.setattr(sys, "stdout", _Output())
        monkeypatch.setattr(sys, "stderr", _Output())
        code = main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        return code, sys.stdout.text(), sys.stderr.text()

    return run


class _Output(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8")

    def text(self):
        return self.buffer.getvalue().decode("utf-8", "surrogateescape")


def test_an_index_is_made_and_its_faults_are_named(house, say):
    (house / "access").write_text("Example.COM  REJECT\nduplicate one\nduplicate two\nno-value\n")
    assert say(postmap.main, "hash:access") == (
        0,
        "",
        (
            'postmap: warning: access.db: duplicate entry: "duplicate"\n'
            "postmap: warning: access, line 4: expected format: key whitespace value\n"
        ),
    )
    assert say(postmap.main, "-s", "hash:access") == (0, "duplicate\tone\nexample.com\tREJECT\n", "")
    assert say(postmap.main, "-q", "Example.com", "hash:access") == (0, "REJECT\n", "")
    assert say(postmap.main, "-q", "absent", "hash:access") == (1, "", "")


def test_keys_come_from_standard_input_and_are_printed_as_they_came(house, say):
    (house / "m").write_text("a 1\nb 2\n")
    assert say(postmap.main, "-q", "-", "hash:m", "inline:{c=1}", stdin="a\nB\nc\n\nzz\n") == (
        0,
        "a\t1\nB\t2\nc\t1\n",
        "",
    )


def test_entries_are_added_replaced_and_removed(house, say):
    (house / "m").write_text("a 1\nb 2\n")
    assert say(postmap.main, "hash:m")[0] == 0
    assert say(postmap.main, "-i", "hash:m", stdin="a 3\nc 4\n") == (
        0,
        "",
        'postmap: warning: m.db: duplicate entry: "a"\n',
    )
    assert say(postmap.main, "-w", "-i", "hash:m", stdin="a 5\n") == (0, "", "")
    assert say(postmap.main, "-ir", "hash:m", stdin="b 6\n") == (0, "", "")
    assert say(postmap.main, "-s", "hash:m")[1] == "a\t1\nb\t6\nc\t4\n"
    assert say(postmap.main, "-d", "a", "hash:m")[0] == 0
    assert say(postmap.main, "-d", "a", "hash:m")[0] == 1
    assert say(postmap.main, "-q", "a", "hash:m")[0] == 1
    assert sorted(os.listdir(house)) == ["m", "m.db", "main.cf"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hash:absent"], "open absent: No such file or directory"),
        (["-q", "k", "hash:absent"], "open database absent.db: No such file or directory"),
        (["-q", "k", "nosuchtype:x"], "unsupported dictionary type: nosuchtype"),
        (["regexp:main.cf"], "unsupported dictionary type: regexp does not support bulk-mode creation."),
        (["-d", "k", "regexp:main.cf"], "regexp:main.cf map requires O_RDONLY access mode"),
        (["-s", "static:x"], "table static:x: sequence operation is not supported"),
        (["-q", "k", "fail:x"], "table fail:x: query error: Application error"),
        (["-q", "a", "-d", "b", "hash:m"], "specify only one of -s -q or -d"),
        (["-h", "-q", "a", "hash:m"], 'specify -b -h or -m only with "-q -"'),
        (["-c", "/nonexist", "-q", "a", "hash:m"], "open /nonexist/main.cf: No such file or directory"),
        ([], postmap.COMMAND.usage),
    ],
)
def test_what_cannot_be_done_is_fatal(house, say, arguments, text):
    code, output, errors = say(postmap.main, *arguments)
    assert (code, output) == (1, "")
    assert errors.splitlines()[-1] == f"postmap: fatal: {text}"


def test_a_new_index_has_the_modes_of_the_text_and_an_old_one_keeps_its_own(house, say):
    (house / "m").write_text("a 1\n")
    (house / "m").chmod(0o600)
    say(postmap.main, "hash:m")
    assert os.stat("m.db").st_mode & 0o777 == 0o600
    (house / "m").chmod(0o664)
    say(postmap.main, "hash:m")
    assert os.stat("m.db").st_mode & 0o777 == 0o600
    os.unlink("m.db")
    say(postmap.main, "hash:m")
    assert os.stat("m.db").st_mode & 0o777 == 0o644
    os.unlink("m.db")
    (house / "m").chmod(0o600)
    say(postmap.main, "-p", "hash:m")
    assert os.stat("m.db").st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_writes_as_the_owner_of_the_text(tmp_path_factory, house, say):
    place = house / "theirs"
    place.mkdir()
    (place / "m").write_text("a 1\n")
    os.chown(place / "m", 65534, 65534)
    for directory in (house, *house.parents):
        if os.stat(directory).st_uid == 0 and directory != directory.parent and "pytest" in str(directory):
            directory.chmod(0o755)
    code, _, errors = say(postmap.main, f"hash:{place}/m")
    assert (code, errors) == (1, f"postmap: fatal: open database {place}/m.db: Permission denied\n")
    os.chown(place, 65534, 65534)
    assert say(postmap.main, f"hash:{place}/m")[0] == 0
    assert os.stat(place / "m.db").st_uid == 65534
    assert os.geteuid() == 0


MESSAGE = "From: x\nTo: a,\n b\n\nbody 1\n\nFoo: bar\n"


@pytest.mark.parametrize(
    ("mode", "output"),
    [
        ("-h", "From: x\tyes\nTo: a,\n b\tyes\n"),
        ("-b", "body 1\tyes\nFoo: bar\tyes\n"),
        ("-hb", "From: x\tyes\nTo: a,\n b\tyes\nbody 1\tyes\nFoo: bar\tyes\n"),
    ],
)
def test_a_message_is_asked_for_field_by_field(house, say, mode, output):
    assert say(postmap.main, mode, "-q", "-", "regexp:{{/./ yes}}", stdin=MESSAGE) == (0, output, "")


def test_mime_fields_are_headers_and_not_body(house, say):
    message = 'Content-Type: multipart/mixed; boundary="xx"\n\npreface\n--xx\nContent-Type: text/plain\n\ntext\n--xx--\nafter\n'
    assert (
        say(postmap.main, "-bm", "-q", "-", "regexp:{{/./ y}}", stdin=message)[1] == "preface\ty\ntext\ty\nafter\ty\n"
    )
    assert say(postmap.main, "-hm", "-q", "-", "regexp:{{/./ y}}", stdin=message)[1].count("Content-Type") == 2


def test_values_can_be_the_content_of_files(house, say):
    (house / "one").write_text("1\n")
    (house / "m").write_text("k one, one\nj absent\n")
    assert say(postmap.main, "-F", "hash:m")[2] == (
        "postmap: warning: m, line 2: open absent: No such file or directory: skipping this entry\n"
    )
    assert say(postmap.main, "-F", "-q", "k", "hash:m")[1] == "1\n\n1\n\n"


def test_newaliases_makes_every_alias_database(house, say):
    (house / "aliases").write_text("root:\tops@example.com\nftp: root\n")
    assert say(newaliases.main, "-oA/dev/null") == (0, "", "")
    assert say(postalias.main, "-q", "FTP", f"hash:{house}/aliases") == (0, "root\n", "")
    listed = say(postalias.main, "-s", f"hash:{house}/aliases")[1].splitlines()
    assert listed[0] == "@:\t@"
    assert listed[1].startswith("YP_LAST_MODIFIED:\t")
    assert listed[2:] == ["YP_MASTER_NAME:\tmail.example.com", "ftp:\troot", "root:\tops@example.com"]
    assert newaliases.rebuild(str(house)) == 0


def test_newaliases_says_which_file_is_missing(house, say):
    assert say(newaliases.main) == (1, "", f"postalias: fatal: open {house}/aliases: No such file or directory\n")


def test_postalias_takes_no_line_of_a_domain(house, say):
    (house / "aliases").write_text("bad\na@b: c\nFoo: x, y\nfoo: z\n")
    assert say(postalias.main, "hash:aliases") == (
        0,
        "",
        (
            "postalias: warning: aliases, line 1: need name:value pair\n"
            "postalias: warning: aliases, line 2: name must be local\n"
            'postalias: warning: aliases.db: duplicate entry: "foo"\n'
        ),
    )
    assert IndexReader("aliases.db").get("foo") == "x, y"


def test_a_key_of_another_encoding_is_no_trouble(house, say):
    (house / "m").write_bytes(b"a 1\n\xff\xfe 2\n")
    assert 'line 2: non-UTF-8 input "?? 2" -- ignoring this line' in say(postmap.main, "hash:m")[2]
    assert say(postmap.main, "-u", "hash:m")[2] == ""


def test_the_empty_line_after_the_header_belongs_to_the_body(house, say):
    output = say(postmap.main, "-b", "-q", "-", "regexp:{{/^$/ empty}}", stdin="From: x\n\nbody\n")[1]
    assert output == "\tempty\n"
