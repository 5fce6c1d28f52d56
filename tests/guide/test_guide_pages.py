"""Every snippet that docs/guide prints is run: configured, started, spoken to, and what the page says comes about."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from guide.guide_house import GuideHouse
from guide.guide_page import KINDS, blocks, fits, pages

# Pages that other tests run, because they need a server of another kind beside ours.
ELSEWHERE: dict[str, str] = {"dovecot": "tests/whole_house/test_whole_house_dovecot.py"}

PAGES = [page for page in pages() if page.stem not in ELSEWHERE]


@pytest.fixture
def place():
    """Not in tmp_path: where root runs the tests, others may not enter that."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-guide-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_says_comes_about(page, place):
    house = GuideHouse(page, place)
    try:
        house.run()
    finally:
        house.stop()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page):
    if page.stem not in ELSEWHERE:
        assert not [f"{page.name}:{block.line}: {block.kind}" for block in blocks(page) if block.kind not in KINDS]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_links_lead_to_pages_that_are_there(page):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]


@pytest.mark.parametrize(
    ("expected", "actual", "answer"),
    [
        ("a ... c", "a b c", True),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a\n...\nc", "a\nc\n", True),
        ("a\nc", "a\nb\nc", False),
        ("a", "ab", False),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_what_is_expected_may_leave_out_parts(expected, actual, answer):
    assert fits(expected, actual) == answer
