"""postfix: what start, stop, reload, check and their kin say and do; whole servers are in tests/whole_house."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from whole_house.house_scene import WholeHouse, until


@pytest.fixture
def house():
    place = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
    place.chmod(0o755)
    house = WholeHouse(place)
    yield house
    if (place / "queue/pid/master.pid").exists():
        house.stop()
    shutil.rmtree(place, ignore_errors=True)


def said(house, *words):
    done = house.command("postfix", *words)
    return done.returncode, done.stderr.replace(str(house.place), "PLACE")


def test_start_status_and_stop(house):
    assert said(house, "status")[0] == 1
    assert said(house, "start") == (0, "")
    assert said(house, "status") == (0, "")
    assert said(house, "start") == (1, "postfix/postfix-script: fatal: the Postfix mail system is already running\n")
    assert said(house, "stop") == (0, "")
    assert said(house, "stop") == (1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n")
    lines = [re.sub(r".*(postfix/[\w-]+)\[\d+\]: ", r"\1: ", line) for line in house.log.splitlines()]
    assert lines[0] == "postfix/postfix-script: the Postfix mail system is not running"
    assert "postfix/postfix-script: starting the Postfix mail system" in lines
    assert "postfix/master: terminating on signal 15" in lines


def test_flushing_needs_a_running_system_as_postqueue_does(house):
    assert said(house, "flush") == (69, "postqueue: fatal: Cannot flush mail queue - mail system is down\n")


@pytest.mark.parametrize("word", ["reload", "abort"])
def test_what_needs_a_running_system_says_so(house, word):
    assert said(house, word) == (1, "postfix/postfix-script: fatal: the Postfix mail system is not running\n")


def test_abort_ends_it_too(house):
    house.start()
    assert said(house, "abort") == (0, "")
    assert said(house, "status")[0] == 1


def test_a_broken_configuration_is_refused_by_check_start_and_reload(house):
    house.start()
    good = (house.conf / "main.cf").read_text()
    (house.conf / "main.cf").write_text(good + "queue_run_delay = soon\n")
    line = good.count("\n") + 1
    wrong = f"PLACE/conf/main.cf, line {line}: "
    for word in ("check", "reload"):
        code, text = said(house, word)
        assert code == 1
        assert wrong in text
        assert "queue_run_delay" in text
    house.send("info@example.org")  # the old configuration goes on
    until(lambda: house.maildir("info"))
    said(house, "stop")
    assert said(house, "start")[0] == 1


def test_check_makes_the_folders_of_the_queue(house):
    assert said(house, "check") == (0, "")
    assert {"maildrop", "public", "private", "pid"} <= set(os.listdir(house.place / "queue"))


@pytest.mark.parametrize("words", [["restart"], ["frobnicate", "now"]])
def test_an_unknown_word_is_refused(house, words):
    code, text = said(house, *words)
    assert code == 1
    assert text.startswith(
        f"postfix/postfix-script: fatal: unknown command: '{' '.join(words)}'. Usage: postfix start, "
    )


def test_a_call_without_a_word_shows_the_usage(house):
    done = subprocess.run(
        [sys.executable, "-m", "posthouse.commands.postfix"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "usage: postfix" in done.stderr) == (1, True)


def test_what_is_not_built_says_so(house):
    code, text = said(house, "tls", "enable-server")
    assert (code, "openssl" in text) == (1, True)
    assert said(house, "upgrade-configuration")[0] == 0


def test_the_log_is_rotated_while_mail_flows(house):
    house.start()
    house.send("info@example.org", "before")
    until(lambda: "removed" in house.log)
    assert said(house, "logrotate") == (0, "")
    (rotated,) = house.place.glob("maillog.*.gz")
    assert "status=sent" in gzip.decompress(rotated.read_bytes()).decode()
    house.send("info@example.org", "after")
    until(lambda: "removed" in house.log)
    assert house.log.count("status=sent") == 1


def test_in_the_foreground_it_stays_until_it_is_told_to_stop(house):
    process = subprocess.Popen(
        [sys.executable, "-m", "posthouse.commands.postfix", "-c", str(house.conf), "start-fg"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        until(lambda: "daemon started" in house.log)
        until(lambda: said(house, "status")[0] == 0)
        time.sleep(0.2)
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
