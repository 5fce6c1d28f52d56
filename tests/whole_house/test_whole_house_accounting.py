"""Short forms of the long tests in bench/: every recipient is accounted for, whatever is killed, refused or full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def run(script: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *words], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def has_own_mounts() -> bool:
    words = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        os.geteuid() == 0 and shutil.which("unshare") is not None and not subprocess.run(words, check=False).returncode
    )


def test_every_recipient_is_accounted_for_in_bad_weather():
    assert "contradictions 0" in run("accounting_test.py", "--messages", "80", "--kills", "2", "--sessions", "4")


def test_random_kills_lose_nothing():
    assert " lost 0" in run("crash_test.py", "--kills", "6")


def test_reloads_and_stops_lose_and_double_nothing():
    assert run("faults/reloads.py", "--reloads", "3", "--stops", "1").count("lost 0, twice 0") == 2


@pytest.mark.skipif("not has_own_mounts()", reason="needs root and mount namespaces")
def test_a_full_disk_loses_and_doubles_nothing():
    assert "with room again all of it arrives: 100 of 100" in run("faults/full_disk.py")


def test_filters_that_fail_lose_nothing():
    assert "contradictions 0" in run("filter_faults.py", "--faults", "60", "--sessions", "4")
