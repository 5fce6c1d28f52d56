"""Banned names and types: the first pattern that matches decides, from the outermost part to the innermost."""

from __future__ import annotations

import pytest

from filters.amavisd_scene import conf_of
from posthouse.filters.scanner.banned import BannedRules, find_banned
from posthouse.filters.scanner.lookups import lookup_of
from posthouse.filters.scanner.message_parts import Component

MIXED = Component("multipart/mixed")


def path(*parts):
    return (MIXED, *parts)


def rules(text="", *words):
    return BannedRules(words, lookup_of(conf_of(text), "banned_filename_maps"))


@pytest.mark.parametrize(
    ("part", "banned"),
    [
        (Component("application/octet-stream", ("evil.EXE",), ("asc",)), True),
        (Component("application/octet-stream", ("evil.exe. .",), ("asc",)), True),
        (Component("application/octet-stream", ("a.txt",), ("exe",)), True),
        (Component("Application/HTA".lower()), True),
        (Component("audio/midi"), True),
        (Component("text/plain", ("exe.txt",), ("asc",)), False),
    ],
)
def test_words_are_endings_and_types(part, banned):
    assert bool(find_banned((path(part),), rules("", ".exe", "application/hta", "audio/*"))) is banned


def test_patterns_of_amavisd():
    found = rules(
        "$banned_filename_re = new_RE( qr'\\.[^./]*\\.(exe|vbs)\\.?$'i, qr'^\\.(exe-ms)$', qr'^application/hta$'i );"
    )
    parts = (
        path(Component("a/b", ("x.jpg.vbs",), ("asc",))), path(Component("a/b", ("x.vbs",), ("asc",))),
        path(Component("a/b", (), ("exe", "exe-ms"))),
    )  # fmt: skip
    assert find_banned(parts, found) == ("a/b,.asc,x.jpg.vbs", "a/b,.exe,.exe-ms")


def test_what_is_allowed_is_allowed_with_all_in_it():
    found = rules("$banned_filename_re = new_RE( [qr'^\\.zip$' => 0], qr'.\\.exe$'i );")
    archive = Component("application/zip", ("x.zip",), ("zip",))
    assert find_banned((path(archive, Component("", ("e.exe",))), path(Component("a/b", ("e.exe",)))), found) == (
        "a/b,e.exe",
    )


def test_the_log_tells_what_it_was_in_and_nothing_that_cannot_be_printed():
    archive = Component("application/zip", ("card.zip",), ("zip",))
    parts = (path(archive, Component("", ("C\nard.exe",), ("exe",))),)
    assert find_banned(parts, rules("", ".exe")) == ("application/zip,.zip,card.zip | .exe,C?ard.exe",)


def test_without_rules_nothing_is_looked_at():
    assert rules().is_empty
    assert not rules("$banned_filename_re = new_RE(qr'x');").is_empty
