"""Nothing of the machine on which somebody worked, and no download address, gets into the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Index pages, package files and lock files' addresses; written in pieces so that this file is not one of them.
DOWNLOAD = re.compile(
    r"https?://[^ \"]+/(" + "simple|packages|pool|debian" + r")/|\"resolved\": *\"http|index" + "-url"
)
NEEDED = ("README.md", "Makefile", ".ci/run", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data and path.suffix != ".svg":
            found.append((str(path.relative_to(ROOT)), data.decode("utf-8", "replace")))
    return found


def test_no_tracked_file_names_a_download_address_or_a_place_of_this_machine():
    here = f"{ROOT.parent}/"
    bad = [name for name, text in texts() if DOWNLOAD.search(text) or (len(here) > 2 and here in text)]
    assert not bad


def test_what_everybody_looks_for_is_there():
    assert not [name for name in NEEDED if not (ROOT / name).exists()]


def links_in(path: Path) -> list[str]:
    found = re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", path.read_text())
    return [link for link in found if not link.startswith("http")]


def test_links_in_documents_lead_somewhere():
    pages = [path for path in tracked() if path.suffix == ".md"]
    broken = [(path.name, link) for path in pages for link in links_in(path) if not (path.parent / link).exists()]
    assert not broken
