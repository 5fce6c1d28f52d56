"""What is wrong with the words of restriction lists, and what would be right: each mistake once, with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.config.check import Finding, Severity
from posthouse.config.main_cf import Place
from posthouse.config.settings import Settings
from posthouse.config.word_places import places_of_words
from posthouse.errors import ConfigError
from posthouse.policy.access_action import Word, parse_action
from posthouse.policy.catalogue import Restriction, Stage, Takes, all_restrictions, find
from posthouse.policy.proof.contents import Contents
from posthouse.policy.words import split_words

LISTS = {
    "smtpd_client_restrictions": Stage.CONNECT,
    "smtpd_helo_restrictions": Stage.HELO,
    "smtpd_sender_restrictions": Stage.MAIL,
    "smtpd_relay_restrictions": Stage.RCPT,
    "smtpd_recipient_restrictions": Stage.RCPT,
    "smtpd_data_restrictions": Stage.DATA,
    "smtpd_end_of_data_restrictions": Stage.END_OF_DATA,
    "smtpd_etrn_restrictions": Stage.ETRN,
}
_STAGE_NAMES = {Stage.CONNECT: "connect", Stage.HELO: "HELO", Stage.MAIL: "MAIL FROM", Stage.ETRN: "ETRN"}
_FINAL = frozenset({"permit", "reject", "defer"})
_DELAYED = Stage.CONNECT | Stage.HELO | Stage.MAIL
MEANT = {
    "check_policy_access": "check_policy_service",
    "check_policy": "check_policy_service",
    "policy_service": "check_policy_service",
    "mynetworks": "permit_mynetworks",
    "permit_mynetwork": "permit_mynetworks",
    "permit_sasl": "permit_sasl_authenticated",
    "permit_authenticated": "permit_sasl_authenticated",
    "reject_rbl": "reject_rbl_client",
    "reject_unauthorized_destination": "reject_unauth_destination",
    "check_client_restrictions": "check_client_access",
}
"""Words that are written in place of others so often that nearness alone would not find them."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A word and where it stands."""

    text: str
    place: Place


def check_lists(settings: Settings, written: tuple[str, ...]) -> Iterator[Finding]:
    """The lists and restriction classes among the parameters that this view sets itself."""
    classes = settings.items("smtpd_restriction_classes")
    for name in written:
        if name in LISTS or name in classes:
            yield from check_list(settings, name)


def check_list(settings: Settings, parameter: str) -> Iterator[Finding]:
    """What is wrong with one list."""
    words = split_words(settings.text(parameter))
    places = places_of_words(settings, parameter)
    fallback = settings.place(parameter) or Place("", 0)
    if len(places) != len(words):
        places = [fallback] * len(words)
    written = [_Written(word, place) for word, place in zip(words, places, strict=True)]
    yield from _Reader(settings, parameter, written).findings()


class _Reader:
    """Goes through the words as build.py does."""

    def __init__(self, settings: Settings, parameter: str, words: list[_Written]) -> None:
        self._settings, self._parameter, self._words = settings, parameter, words
        self._classes = settings.items("smtpd_restriction_classes")
        self._position = 0
        self._ended_by: _Written | None = None

    def findings(self) -> Iterator[Finding]:
        softened = False
        while self._position < len(self._words):
            word = self._words[self._position]
            if self._ended_by is not None and not word.text.startswith("#"):
                yield self._tell(word, self._unreachable(word))
                return
            self._position += 1
            if word.text.lower() == "warn_if_reject":
                softened = True
                continue
            yield from self._word(word, softened=softened)
            softened = False

    def _word(self, word: _Written, *, softened: bool) -> Iterator[Finding]:
        if word.text.startswith("#"):
            yield self._comment(word)
            return
        joined = self._joined(word)
        if joined:
            yield self._tell(word, joined)
            self._position += 1
            return
        if ":" in word.text and not word.text.startswith("{"):
            yield from self._bare_table(word)
            return
        restriction = find(word.text)
        if restriction is not None:
            yield from self._known(word, restriction, softened=softened)
        elif not (word.text in self._classes and self._settings.knows(word.text)):
            yield self._tell(word, self._unknown(word))
            self._skip_argument()

    def _joined(self, word: _Written) -> str:
        """What to say of "permit mynetworks", where permit_mynetworks is meant; else ""."""
        following = self._next()
        if following is None or find(following.text) or following.text in self._classes:
            return ""
        meant = find(f"{word.text}_{following.text}")
        if meant is None or meant.takes is not Takes.NOTHING:
            return ""
        text = f'"{word.text} {following.text}" is two words; write {meant.name}.'
        if word.text.lower() == "permit":
            return f'{text} As it stands, "permit" lets everybody through; {self._parameter} ends there'
        return f"{text} As it stands, what follows {word.text} in {self._parameter} is skipped"

    def _known(self, word: _Written, restriction: Restriction, *, softened: bool) -> Iterator[Finding]:
        following = self._next()
        if restriction.instead:
            yield self._tell(word, f"{word.text} is the former name of {restriction.instead}", "note")
        yield from self._wrong_stage(word, restriction)
        yield from (self._tell(word, text) for text in login_troubles(self._settings, restriction.name))
        if restriction.takes is Takes.NOTHING:
            if restriction.name in _FINAL and not softened:
                self._ended_by = word
            return
        argument = following.text if following else ""
        wrong = _wrong_argument(restriction, argument)
        if wrong:
            yield self._tell(word, f"{word.text} {wrong}")
            return
        self._position += 1
        if restriction.takes is Takes.DNS_LIST and "." not in argument:
            text = f'{word.text} needs the domain of a DNS list; "{argument}" is none'
            yield self._tell(word, text)

    def _wrong_stage(self, word: _Written, restriction: Restriction) -> Iterator[Finding]:
        stage = LISTS.get(self._parameter)
        if stage is None or restriction.name == "reject_multi_recipient_bounce":
            return
        delayed = bool(stage & _DELAYED) and self._settings.flag("smtpd_delay_reject")
        if restriction.stages & (Stage.RCPT if delayed else stage):
            return
        where = _STAGE_NAMES.get(stage, "that stage")
        hint = " (smtpd_delay_reject = yes would ask it at RCPT TO)" if stage & _DELAYED and not delayed else ""
        yield self._tell(word, f"{word.text} has no effect in {self._parameter}: it is not known at {where}{hint}")

    def _bare_table(self, word: _Written) -> Iterator[Finding]:
        if self._parameter in {"smtpd_data_restrictions", "smtpd_end_of_data_restrictions"}:
            yield self._tell(word, f'"{word.text}" is a table without a word before it that says what to look up')

    def _unknown(self, word: _Written) -> str:
        if set(word.text) <= {".", "…"}:
            return f'"{word.text}" stands where restrictions have been left out; every command that comes here gets 451'
        meant = MEANT.get(word.text.lower()) or _nearest(word.text, self._classes)
        if meant:
            return f'"{word.text}" is no restriction: did you mean {meant}? Commands that come here get 451'
        if self._settings.is_set(word.text):
            return (
                f'"{word.text}" is no restriction; to be a class of restrictions it must be named in '
                "smtpd_restriction_classes. Commands that come here get 451"
            )
        return f'"{word.text}" is no restriction. Commands that come here get 451'

    def _skip_argument(self) -> None:
        """The table or server after a word that nobody knows belongs to it."""
        following = self._next()
        if following is not None and ":" in following.text:
            self._position += 1

    def _unreachable(self, word: _Written) -> str:
        end = self._ended_by.text if self._ended_by else ""
        others = len(self._words) - self._position - 1
        rest = f" and what follows ({others} more)" if others else ""
        return f'"{word.text}"{rest} is never reached: "{end}" before it ends {self._parameter}'

    def _comment(self, word: _Written) -> Finding:
        """The rest of that line is the comment."""
        words = [word.text]
        while (following := self._next()) is not None and following.place == word.place:
            words.append(following.text)
            self._position += 1
        text = (
            f'a comment must be on a line of its own: "{" ".join(words)}" is taken for restrictions. '
            "Commands that come here get 451"
        )
        return self._tell(word, text)

    def _next(self) -> _Written | None:
        return self._words[self._position] if self._position < len(self._words) else None

    def _tell(self, word: _Written, text: str, severity: Severity = "warning") -> Finding:
        return Finding(severity, word.place.file, word.place.line, self._parameter, text)


def login_troubles(settings: Settings, name: str) -> Iterator[str]:
    """What keeps a restriction about senders and logins from doing what it is there for."""
    if not name.endswith("_sender_login_mismatch") or not settings.flag("smtpd_sasl_auth_enable"):
        return
    if not settings.items("smtpd_sender_login_maps"):
        does = "does nothing" if "_known_" in name or "_unauthenticated_" in name else "stops all mail of logins"
        yield f"{name} {does}: smtpd_sender_login_maps is empty"
    if name.startswith("hold_") and settings.text("smtpd_proxy_filter"):
        yield f"{name}: mail cannot be held with smtpd_proxy_filter, and gets 451; use reject_{name[5:]}"


def _wrong_argument(restriction: Restriction, argument: str) -> str:
    match restriction.takes:
        case Takes.TABLE if ":" not in argument:
            return f'needs a table after it, type:name; "{argument}" is none' if argument else "needs a table after it"
        case Takes.SERVER if ":" not in argument:
            return "needs a server after it, inet:host:port or unix:path"
        case Takes.NUMBER if not argument.isdigit():
            return "needs a number of seconds after it"
        case Takes.DNS_LIST if not argument:
            return "needs the domain of a DNS list after it"
        case _:
            return ""


def _nearest(word: str, classes: tuple[str, ...]) -> str:
    names = [entry.name for entry in all_restrictions()]
    near = difflib.get_close_matches(word.lower(), [*names, *classes], n=1, cutoff=0.75)
    return near[0] if near else ""


def check_answers(contents: Contents, settings: Settings) -> Iterator[Finding]:
    """Values of an access table that are neither an action nor restrictions."""
    classes = settings.items("smtpd_restriction_classes")
    for line in contents.lines:
        if "$" in line.value and line.is_pattern:
            continue
        action = parse_action(line.value)
        if action.word is not Word.RESTRICTIONS:
            continue
        try:
            words = split_words(action.argument)
        except ConfigError as problem:
            yield Finding("warning", line.file, line.number, "", str(problem))
            continue
        first = words[0] if words else ""
        if not first or first in classes or find(first) or ":" in first or first.lower() == "warn_if_reject":
            continue
        meant = MEANT.get(first.lower()) or _nearest_action(first, classes)
        hint = f"; did you mean {meant}?" if meant else ""
        text = f'"{first}" (for {line.key or "every key"}) is neither an action nor a restriction{hint}'
        yield Finding("warning", line.file, line.number, "", f"{text}. Commands that come here get 451")


def _nearest_action(word: str, classes: tuple[str, ...]) -> str:
    actions = [one.value for one in Word if one not in {Word.CODE, Word.RESTRICTIONS}]
    near = difflib.get_close_matches(word.upper(), actions, n=1, cutoff=0.7)
    return near[0] if near else _nearest(word, classes)
