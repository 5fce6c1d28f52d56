"""postconf: its output, its complaints and its edits are those of Postfix 3.7, recorded here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posthouse.commands import postconf

MAIN = """\
# c
compatibility_level = 3.6
myhostname = a.b
# in
relayhost =
 # inner
  x,
  y

mydomain=z
relayhost = again
   # tail comment
mine = $mydomain
"""

MASTER = """\
# head
smtp inet n - n - - smtpd
# mid
sub  inet n - n - - smtpd
\t-o mine=b -o syslog_name=x/$service_name

  -o { smtpd_banner = d e } -v
# in
  -o smtpd_helo_required=yes
pip unix - n n - 5 pipe
  flags=Rq user=nobody argv=/bin/true -f $(sender) { a b } -- ${recipient} aaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbb
"""

OVERRIDDEN = "postconf: warning: DIR/main.cf, line 11: overriding earlier entry: relayhost=x,  y\n"
UNUSED = "postconf: warning: DIR/main.cf: unused parameter: mine=$mydomain\n"
UNUSED += "postconf: warning: DIR/master.cf: unused parameter: mine=b\n"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    monkeypatch.setattr("sys.argv", ["postconf"])
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    return tmp_path


def play(directory: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = postconf.main(["-c", str(directory), *arguments])
    output, errors = capsys.readouterr()
    return status, output.replace(str(directory), "DIR"), errors.replace(str(directory), "DIR")


SHOWN = [
    (("relayhost", "myhostname"), "relayhost = again\nmyhostname = a.b\n"),
    (("-h", "relayhost"), "again\n"),
    (("-H", "relayhost"), "relayhost\n"),
    (("-x", "mydestination"), "mydestination = a.b, localhost.z, localhost\n"),
    (("-hx", "mydestination"), "a.b, localhost.z, localhost\n"),
    (("-o", "relayhost=[other]", "relayhost"), "relayhost = [other]\n"),
    (("-n", "relayhost", "mydestination"), "relayhost = again\n"),
    (("-f", "command_expansion_filter", "smtpd_forbidden_commands"),
     ("command_expansion_filter =\n"
     "    1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\n"
     "smtpd_forbidden_commands = CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}\n")),
    (("-x", "default_rbl_reply"),
     ("default_rbl_reply = $rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using "
     "$rbl_domain${rbl_reason?; $rbl_reason}\n")),
    (("-C", "user"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "output"), SHOWN)
def test_parameters_are_shown_as_postfix_shows_them(directory, capsys, arguments, output) -> None:
    status, text, errors = play(directory, capsys, *arguments)
    assert (status, text) == (0, output)
    assert sorted(errors.splitlines()) == sorted((OVERRIDDEN + UNUSED).splitlines())


def test_what_differs_from_the_defaults_is_sorted(directory, capsys) -> None:
    _, text, _ = play(directory, capsys, "-n")
    assert text.splitlines() == [
        "compatibility_level = 3.6",
        "config_directory = DIR",
        "mydomain = z",
        "myhostname = a.b",
        "relayhost = again",
    ]


def test_defaults_are_shown_without_reading_main_cf(directory, capsys) -> None:
    status, text, errors = play(directory, capsys, "-d", "relayhost", "message_size_limit", "nothing")
    assert (status, text) == (0, "relayhost =\nmessage_size_limit = 10240000\n")
    assert errors == "postconf: warning: nothing: unknown parameter\n"


def test_all_parameters_are_shown_with_those_of_the_services(directory, capsys) -> None:
    _, text, _ = play(directory, capsys)
    names = [line.split(" =")[0] for line in text.splitlines()]
    assert names == sorted(names)
    assert (
        len([name for name in names if not name.startswith("posthouse_")]) == 831 + 17 + 1
    )  # smtpd_hide_client_session
    assert "pip_destination_recipient_limit" in names
    assert "pip_time_limit" in names


def test_names_without_a_meaning_are_reported(directory, capsys) -> None:
    (directory / "main.cf").write_text("not_a_parameter = yes\nmessage_size_limit = $not_defined\n")
    status, text, errors = play(directory, capsys, "-n", "not_a_parameter", "message_size_limit")
    assert (status, text) == (0, "message_size_limit = $not_defined\n")
    assert errors.splitlines()[:3] == [
        "postconf: warning: DIR/main.cf: undefined parameter: not_defined",
        "postconf: warning: not_a_parameter: unknown parameter",
        "postconf: warning: DIR/main.cf: unused parameter: not_a_parameter=yes",
    ]


SERVICES = [
    (("-M",),
     ("smtp       inet  n       -       n       -       -       smtpd\n"
     "sub        inet  n       -       n       -       -       smtpd -o mine=b -o syslog_name=x/$service_name "
     "-o {smtpd_banner=d e} -v -o smtpd_helo_required=yes\n"
     "pip        unix  -       n       n       -       5       pipe flags=Rq user=nobody argv=/bin/true -f $(sender) "
     "{a b} -- ${recipient} aaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbb\n")),
    (("-Mf", "sub/inet", "pip"),
     ("sub        inet  n       -       n       -       -       smtpd\n"
     "    -o mine=b\n    -o syslog_name=x/$service_name\n    -o {smtpd_banner=d e}\n    -v\n"
     "    -o smtpd_helo_required=yes\n"
     "pip        unix  -       n       n       -       5       pipe flags=Rq\n"
     "    user=nobody argv=/bin/true -f $(sender) {a b} -- ${recipient}\n"
     "    aaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbb\n")),
    (("-P", "*/*/syslog_name"), "sub/inet/syslog_name = x/$service_name\n"),
    (("-Px", "sub/inet/syslog_name"), "sub/inet/syslog_name = x/sub\n"),
    (("-Ph", "sub/inet/smtpd_banner"), "d e\n"),
    (("-F", "*/inet/chroot"), "smtp/inet/chroot = n\nsub/inet/chroot = n\n"),
    (("-FH", "smtp/inet/wakeup"), "smtp/inet/wakeup\n"),
    (("-Fh", "smtp/inet/type"), "inet\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "output"), SERVICES)
def test_services_are_shown_as_postfix_shows_them(directory, capsys, arguments, output) -> None:
    status, text, _ = play(directory, capsys, *arguments)
    assert (status, text) == (0, output)


def test_a_request_that_means_no_service_is_reported(directory, capsys) -> None:
    status, _, errors = play(directory, capsys, "-M", "nothing/inet")
    assert status == 0
    assert 'postconf: warning: unmatched request: "nothing/inet"' in errors


WRONG = [
    (("-hH", "relayhost"), "specify one of -h -H"),
    (("-n", "-d"), "specify one of -d -n"),
    (("-e", "-X", "a"), "specify one of -e -X"),
    (("-de", "x=y"), "specify one of -d -e"),
    (("-X", "a=b"), "specify one of -e -X"),
    (("-am",), "specify one of -a -m"),
    (("-mn",), "with option -m, do not specify -n"),
    (("-Mh", "sub"), "with option -M, do not specify -h"),
    (("-P#", "sub/inet/a"), "with option -P, do not specify -#"),
    (("-FX", "sub/inet/chroot"), "with option -F, do not specify -X"),
    (("-C", "foo"), 'unknown -C option value "foo" in "foo"'),
    (("-o", "foo"), "invalid parameter override: foo: missing '=' after attribute name"),
    (("-e",), "-e requires name=value argument"),
    (("-X",), "missing service argument"),
    (("-e", "foo"), "missing '=' after attribute name: \"foo\""),
    (("-e", " =bar"), 'missing attribute name: "=bar"'),
    (("-e", "#foo=bar"), "-e, -X, or -# accepts no comment input"),
    (("-e", "foo=a\n b"), "-e, -X, or -# accepts no multi-line input"),
    (("-F", "sub/inet/maxproc"), 'invalid service attribute name: "maxproc"'),
    (("-F", "sub/inet/maxproc=7"), 'invalid service attribute name: "maxproc"'),
    (("-F", "sub/inet/chroot=z"), 'invalid chroot field "z" in "z"'),
    (("-Fe", "sub/inet=y"), "-Fe or -FX requires service_name/type/field_name"),
    (("-Pe", "sub/x=y"), "-Pe or -PX requires service_name/type/parameter"),
    (("-Pe", "sub/inet/c=d e"), "-Pe does not accept whitespace in parameter value"),
    (("-MX", "sub"), "-Me, -MX or -M# requires service_name/type"),
    (("-Me", "n/unix=n unix n n n - -"), 'bad field count: "n/unix=n unix n n n - -"'),
]


@pytest.mark.parametrize(("arguments", "complaint"), WRONG)
def test_a_command_line_without_sense_is_refused_and_changes_nothing(directory, capsys, arguments, complaint) -> None:
    status, _, errors = play(directory, capsys, *arguments)
    assert status == 1
    assert errors.splitlines()[-1] == f"postconf: fatal: {complaint}"
    assert (directory / "main.cf").read_text() == MAIN
    assert (directory / "master.cf").read_text() == MASTER


def test_an_absent_main_cf_is_fatal_but_not_for_defaults(tmp_path, capsys) -> None:
    assert play(tmp_path, capsys, "relayhost")[0] == 1
    status, text, errors = play(tmp_path, capsys, "-d", "relayhost")
    assert (status, text) == (0, "relayhost =\n")
    assert "warning: open DIR/master.cf: No such file or directory" in errors


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-e", "relayhost=new", "smtpd_banner = a   b "),
         ("# c\ncompatibility_level = 3.6\nmyhostname = a.b\n# in\nrelayhost = new\n # inner\n\nmydomain=z\n"
         "relayhost = new\n   # tail comment\nmine = $mydomain\nsmtpd_banner = a   b\n")),
        (("mydomain=",), MAIN.replace("mydomain=z", "mydomain = ")),
        (("-X", "relayhost", "mydomain", "nothere"),
         "# c\ncompatibility_level = 3.6\nmyhostname = a.b\n# in\n # inner\n\n   # tail comment\nmine = $mydomain\n"),
        (("-#", "relayhost"),
         ("# c\ncompatibility_level = 3.6\nmyhostname = a.b\n# in\n#relayhost =\n # inner\n#  x,\n#  y\n\nmydomain=z\n"
         "#relayhost = again\n   # tail comment\nmine = $mydomain\n")),
    ],
)  # fmt: skip
def test_main_cf_is_edited_where_it_stands(directory, capsys, arguments, text) -> None:
    assert play(directory, capsys, *arguments)[0] == 0
    assert (directory / "main.cf").read_text() == text


SUB = "sub        inet  n       -       n       -       -       smtpd\n"
OPTIONS = "    -o mine=b\n    -o syslog_name=x/$service_name\n    -o {smtpd_banner=d e}\n    -v\n"
HELO = "    -o smtpd_helo_required=yes\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-F", "sub/inet/process_limit=9"), "\n# in\n" + SUB[:49] + "9       smtpd\n" + OPTIONS + HELO),
        (("-Fe", "sub/inet/command=smtpd"), "\n# in\n" + SUB),
        (("-Pe", "sub/inet/syslog_name=q"), "\n# in\n" + SUB + OPTIONS.replace("x/$service_name", "q") + HELO),
        (("-P", "sub/inet/new=1"), "\n# in\n" + SUB + OPTIONS + HELO + "    -o new=1\n"),
        (("-PX", "sub/inet/smtpd_helo_required"), "\n# in\n" + SUB + OPTIONS),
        (("-MX", "sub/inet"), "\n# in\n"),
        (("-M", "sub/inet=sub inet n - n - 5 smtpd -o a=b"), SUB[:49] + "5       smtpd\n    -o a=b\n\n# in\n"),
    ],
)
def test_master_cf_is_edited_where_it_stands(directory, capsys, arguments, text) -> None:
    assert play(directory, capsys, *arguments)[0] == 0
    edited = (directory / "master.cf").read_text()
    assert edited.partition("# mid\n")[2].partition("pip unix")[0] == text
    assert edited.startswith("# head\nsmtp inet n - n - - smtpd\n")


def test_a_service_is_commented_out_line_by_line(directory, capsys) -> None:
    play(directory, capsys, "-M#", "sub/inet")
    assert "#sub  inet n - n - - smtpd\n#\t-o mine=b" in (directory / "master.cf").read_text()


def test_a_new_service_comes_last(directory, capsys) -> None:
    play(directory, capsys, "-Me", "new/unix=new unix n n n - - pipe flags=R { a b } argv=x -o { x = y z} -v")
    assert (
        (directory / "master.cf")
        .read_text()
        .endswith(
            "new        unix  n       n       n       -       -       pipe flags=R {a b}\n    argv=x -o {x = y z} -v\n"
        )
    )


def test_an_edit_keeps_the_mode_and_follows_a_link(directory, capsys) -> None:
    real = directory / "real.cf"
    (directory / "main.cf").rename(real)
    (directory / "main.cf").symlink_to("real.cf")
    os.chmod(real, 0o640)
    play(directory, capsys, "-e", "biff=no")
    assert (directory / "main.cf").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_text().endswith("biff = no\n")
    assert sorted(path.name for path in directory.iterdir()) == ["main.cf", "master.cf", "real.cf"]


def test_table_types_are_those_in_the_house(directory, capsys) -> None:
    status, text, _ = play(directory, capsys, "-m")
    assert status == 0
    assert "hash" in text.split()
    assert text.split() == sorted(text.split())


def test_lock_methods_are_listed(directory, capsys) -> None:
    assert play(directory, capsys, "-l")[:2] == (0, "flock\nfcntl\ndotlock\n")


def test_bounce_texts_are_shown_as_they_are_and_filled_in(directory, capsys) -> None:
    _, templates, _ = play(directory, capsys, "-t")
    assert templates.startswith(
        "failure_template = <<EOF\nCharset: us-ascii\nFrom: Mail Delivery System <MAILER-DAEMON>\n"
    )
    _, texts, _ = play(directory, capsys, "-b")
    assert "This is the mail system at host a.b." in texts
