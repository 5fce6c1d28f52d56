from __future__ import annotations

import io
import stat

import pytest

from posthouse.commands.posthouse_passwd import main
from posthouse.sasl.password_hash import verify


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "main.cf").write_text("smtpd_sasl_type = posthouse\nmail_owner = nobody\n")
    return tmp_path


@pytest.fixture
def run(conf, monkeypatch, capsys):
    def play(*words, password=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        status = main(["-c", str(conf), *words])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return play


def stored(conf):
    lines = (conf / "smtpd_passwords").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))


def test_a_login_is_added_changed_listed_and_removed(conf, run):
    assert run("add", "joe@example.org", password="first") == (0, "", "")
    assert verify("first", stored(conf)["joe@example.org"])
    assert run("change", "joe@example.org", "--scheme", "scram-sha-256", password="second")[0] == 0
    assert verify("second", stored(conf)["joe@example.org"])
    assert run("list") == (0, "joe@example.org\tSCRAM-SHA-256\n", "")
    assert run("remove", "joe@example.org")[0] == 0
    assert run("list") == (0, "", "")


def test_comments_and_other_lines_stay(conf, run):
    (conf / "smtpd_passwords").write_text("# people\nann:{PLAIN}x:::extra\n\nJoe:{PLAIN}y\n")
    assert run("change", "joe", password="new")[0] == 0
    text = (conf / "smtpd_passwords").read_text()
    assert text.startswith("# people\nann:{PLAIN}x:::extra\n\nJoe:{ARGON2ID}$argon2id$")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("add", "joe"), "joe is there already"),
        (("change", "nobody"), "there is no nobody"),
        (("remove", "nobody"), "there is no nobody"),
        (("add", "a b"), "cannot be a login"),
        (("add", "a:b"), "cannot be a login"),
        (("add", "ann", "--scheme", "ROT13"), "unknown scheme ROT13"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(conf, run, words, complaint):
    (conf / "smtpd_passwords").write_text("joe:{PLAIN}y\n")
    status, _, errors = run(*words, password="x")
    assert status == 1
    assert complaint in errors
    assert (conf / "smtpd_passwords").read_text() == "joe:{PLAIN}y\n"


def test_no_password_is_no_login(conf, run):
    assert run("add", "joe", password="")[0] == 1
    assert not (conf / "smtpd_passwords").exists()


def test_the_file_is_not_for_everybody(conf, run):
    run("add", "joe", password="x")
    assert not stat.S_IMODE((conf / "smtpd_passwords").stat().st_mode) & 0o007


def test_tables_are_for_others_to_edit(conf, run):
    (conf / "main.cf").write_text("smtpd_sasl_type = posthouse\nsmtpd_sasl_path = hash:/etc/logins\n")
    status, _, errors = run("add", "joe", password="x")
    assert (status, "is the table hash:/etc/logins" in errors) == (1, True)
