"""make run: the demonstration ends well."""

from __future__ import annotations

import subprocess
import sys


def test_the_demonstration_goes_as_it_should():
    words = [sys.executable, "-m", "posthouse.commands.posthouse", "try", "--once"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything went as it should." in done.stdout
