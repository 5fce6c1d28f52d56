"""posthouse: its subcommands are the files beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from posthouse import __version__
from posthouse.commands.posthouse import subcommands, summary


def posthouse(*words):
    return subprocess.run(
        [sys.executable, "-m", "posthouse.commands.posthouse", *words],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_subcommand_with_what_it_does(words):
    done = posthouse(*words)
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    for name, module in subcommands().items():
        assert f"{name} {' '.join(summary(module).split())}" in text


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_every_subcommand_says_what_it_does_and_has_help(name):
    assert summary(subcommands()[name]).endswith(".")
    done = posthouse(name, "--help")
    assert done.returncode == 0
    assert f"posthouse {name}" in done.stdout


def test_a_mistyped_subcommand_is_guessed():
    done = posthouse("queu")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "posthouse: there is no command 'queu'; did you mean queue? (posthouse --help lists them)\n"


def test_version():
    assert posthouse("--version").stdout == f"posthouse {__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["queue", "--help"]])
def test_nothing_heavy_is_imported_before_it_is_needed(words):
    code = (
        "import sys, contextlib\nfrom posthouse.commands.posthouse import main\n"
        f"with contextlib.suppress(SystemExit): main({words!r})\n"
        "print([name for name in ('asyncio', 'uvloop', 'cryptography', 'dns') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines()[-1] == "[]"
