"""postlog puts lines into the log as Postfix's does."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nmyhostname = mail.example.com\n"
        f"maillog_file = {tmp_path}/log\nmaillog_file_prefixes = {tmp_path}\n"
    )
    return tmp_path


def postlog(conf, *words, stdin=""):
    done = subprocess.run(
        [sys.executable, "-m", "posthouse.commands.postlog", "-c", str(conf), *words],
        input=stdin, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    log = (conf / "log").read_text() if (conf / "log").exists() else ""
    lines = [re.sub(r"^\w{3} [ \d]\d [\d:]{8} mail ", "", line) for line in log.splitlines()]
    return done, [re.sub(r"\[\d+\]", "[PID]", line) for line in lines]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hello", "world"], "postfix/postlog[PID]: hello world"),
        (["-p", "warn", "careful"], "postfix/postlog[PID]: warning: careful"),
        (["-p", "warning", "careful"], "postfix/postlog[PID]: warning: careful"),
        (["-p", "err", "bad"], "postfix/postlog[PID]: error: bad"),
        (["-p", "fatal", "worse"], "postfix/postlog[PID]: fatal: worse"),
        (["-p", "crit", "worse"], "postfix/postlog[PID]: fatal: worse"),
        (["-p", "panic", "worst"], "postfix/postlog[PID]: panic: worst"),
        (["-t", "myscript", "done"], "myscript[PID]: done"),
        (["-i", "done"], "postfix/postlog[PID]: done"),
    ],
)
def test_words_become_a_line(conf, words, line):
    done, lines = postlog(conf, *words)
    assert (done.returncode, done.stderr, lines) == (0, "", [line])


def test_lines_of_standard_input_become_lines(conf):
    done, lines = postlog(conf, "-t", "t", stdin="one\n\ntwo\n")
    assert (done.returncode, lines) == (0, ["t[PID]: one", "t[PID]: ", "t[PID]: two"])


def test_what_cannot_be_printed_does_not_get_into_the_log(conf):
    _, lines = postlog(conf, "-t", "t", "a\x1b[31mb\x07")
    assert lines == ["t[PID]: a?[31mb?"]


@pytest.mark.parametrize(
    ("words", "said"), [(["-p", "loud", "x"], "unknown priority: loud"), (["-z"], "usage: postlog")]
)
def test_a_wrong_call_is_refused(conf, words, said):
    done, lines = postlog(conf, *words)
    assert (done.returncode, said in done.stderr, lines) == (1, True, [])


def test_without_a_configuration_nothing_is_logged(tmp_path):
    done, lines = postlog(tmp_path, "x")
    assert (done.returncode, lines) == (1, [])
    assert "main.cf" in done.stderr
