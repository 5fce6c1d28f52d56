"""Groups of letters for Maildirs: durable before they are reported, each or together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.deliver.agent_host.wire import Piece
from posthouse.deliver.mailbox import maildir
from posthouse.deliver.mailbox.maildir import Letter, MaildirWriter


def letters(place: Path, count: int, boxes: int = 1) -> list[Letter]:
    return [
        Letter(f"{place}/box{number % boxes}/", (Piece(b"Subject: %d\n\n" % number),), 0, create=True)
        for number in range(count)
    ]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files and directories that fsync was called for, by name."""
    names: list[str] = []
    fsync: Callable[[int], None] = os.fsync

    def note(file: int) -> None:
        names.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))
        fsync(file)

    monkeypatch.setattr(maildir.os, "fsync", note)
    return names


def test_a_large_group_is_synced_at_once_and_then_the_directory(tmp_path: Path, synced: list[str]) -> None:
    calls: list[int] = []

    def sync_all(file: int) -> bool:
        # Nothing may be visible to a reader before it is durable.
        assert not list((tmp_path / "box0/new").iterdir())
        calls.append(file)
        return True

    writer = MaildirWriter(_sync_all=sync_all)
    group = letters(tmp_path, 10)
    writer.deliver(group)
    assert len(calls) == 1
    assert [letter.failure for letter in group] == [None] * 10
    assert synced[-1:] == ["new"]
    assert not [name for name in synced if "." in name]
    assert len(list((tmp_path / "box0/new").iterdir())) == 10


def test_where_syncing_at_once_fails_each_letter_is_synced(tmp_path: Path, synced: list[str]) -> None:
    tries: list[int] = []
    writer = MaildirWriter(_sync_all=lambda file: bool(tries.append(file)))
    for _ in range(2):
        group = letters(tmp_path, 5)
        writer.deliver(group)
        assert [letter.failure for letter in group] == [None] * 5
    assert len(tries) == 1, "it rests after a failure"
    assert len([name for name in synced if "." in name]) == 10


def test_a_single_letter_is_synced_by_itself(tmp_path: Path, synced: list[str]) -> None:
    writer = MaildirWriter(_sync_all=lambda _file: pytest.fail("other files are none of its business"))
    writer.deliver(letters(tmp_path, 1))
    assert len([name for name in synced if "." in name]) == 1


def test_a_group_for_more_maildirs_than_are_kept_open_arrives(tmp_path: Path) -> None:
    writer = MaildirWriter()
    for count in (1, 128, 64):
        group = [*letters(tmp_path, 1), *letters(tmp_path / f"of{count}", count - 1, boxes=count)]
        writer.deliver(group)
        assert [letter.failure for letter in group] == [None] * len(group)
    writer.close()
