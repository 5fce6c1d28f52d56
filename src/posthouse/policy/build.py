"""Makes a list of restrictions ready for use: words become rules, tables are opened, classes put in place.

Done once per view of the settings, and once per value for lists that stand in access tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from posthouse.errors import ConfigError
from posthouse.maillog import policy as texts
from posthouse.policy.answer import Answer, server_error
from posthouse.policy.catalogue import Restriction, Takes, find
from posthouse.policy.check import Check
from posthouse.policy.dns_lists import BadFilter, parse_dns_list
from posthouse.policy.evaluate import Rule, RuleList
from posthouse.policy.means import Means
from posthouse.policy.search_order import table_with_order
from posthouse.policy.words import split_words

_WARN = "warn_if_reject"
_FINAL = frozenset({"permit", "reject", "defer", "check_relay_domains"})
_MAX_DEPTH = 20
DEFAULT_ACCESS = (
    "check_client_access",
    "check_reverse_client_hostname_access",
    "check_helo_access",
    "check_sender_access",
    "check_recipient_access",
    "check_etrn_access",
)


def build_list(means: Means, parameter: str, default_access: str = "") -> RuleList:
    """The rules of a parameter. Raises ConfigError for a table that cannot be opened; words that are no restrictions
    become rules that answer 451 when they are reached, as in Postfix.
    """
    words = split_words(means.settings.text(parameter))
    rules = _Builder(means, default_access).rules(words)
    return RuleList(parameter, means.settings.place(parameter), rules)


def build_words(means: Means, text: str, default_access: str) -> tuple[Rule, ...]:
    """The rules of a list that a table or a policy server gave as its answer."""
    return _Builder(means, default_access).rules(split_words(text))


class _Builder:
    def __init__(self, means: Means, default_access: str, inside: tuple[str, ...] = ()) -> None:
        self.means, self.default_access, self.inside = means, default_access, inside

    def rules(self, words: list[str]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        position, softened = 0, False
        while position < len(words):
            word = words[position]
            position += 1
            if word.lower() == _WARN:
                softened = True
                continue
            if ":" in word and not word.startswith("{"):
                rules.append(self._bare_table(word, softened))
            else:
                argument = words[position] if position < len(words) else ""
                rule, used = self._named(word, argument, softened)
                position += used
                rules.append(rule)
            softened = False
        return tuple(rules)

    def _bare_table(self, word: str, softened: bool) -> Rule:
        restriction = find(self.default_access) if self.default_access else None
        if restriction is None:
            return Rule(word, partial(_complain_about_bare_table, word), waits=False)
        return self._with_argument(restriction, word, softened)

    def _named(self, word: str, following: str, softened: bool) -> tuple[Rule, int]:
        """The rule that begins with word, and how many of the following words belong to it."""
        restriction = find(word)
        if restriction is None:
            return self._class_or_mistake(word, softened), 0
        if restriction.takes is Takes.NOTHING:
            ask = self._final(restriction, following, softened)
            return Rule(word, ask, restriction.waits, softened, restriction), 0
        problem = _argument_problem(restriction, following)
        if problem:
            return self._mistake(word, problem), 0
        if not following:
            text = texts.domain_needed(word)
            return Rule(word, lambda check: check.means.log.warning(text), waits=False, restriction=restriction), 0
        return self._with_argument(restriction, following, softened), 1

    def _with_argument(self, restriction: Restriction, argument: str, softened: bool) -> Rule:
        prepared: Any = argument
        if restriction.takes is Takes.TABLE:
            prepared = self.means.table(argument)
        elif restriction.takes is Takes.NUMBER:
            prepared = int(argument)
        elif restriction.takes is Takes.DNS_LIST:
            try:
                prepared = parse_dns_list(argument)
            except BadFilter as problem:
                raise ConfigError(f"{restriction.name} {argument}: {problem}") from problem
        elif restriction.takes is Takes.SERVER:
            prepared = self.means.policy_servers.server(argument)
        function = restriction.function

        def ask(check: Check) -> Any:
            return function(check, prepared)

        return Rule(f"{restriction.name} {argument}", ask, restriction.waits, softened, restriction, argument)

    def _final(self, restriction: Restriction, following: str, softened: bool) -> Callable[[Check], Any]:
        """permit, reject, defer and check_relay_domains end a list: say so when something stands after them."""
        function = restriction.function
        if restriction.name not in _FINAL or not following or (softened and restriction.name != "permit"):
            return function
        text = texts.ignored_after(following, restriction.name)

        def ask(check: Check) -> Any:
            check.means.log.warning(text)
            return function(check)

        return ask

    def _class_or_mistake(self, word: str, softened: bool) -> Rule:
        settings = self.means.settings
        if word in settings.items("smtpd_restriction_classes") and settings.knows(word):
            if word in self.inside or len(self.inside) >= _MAX_DEPTH:
                return self._mistake(word, texts.class_within_itself(word))
            inner = _Builder(self.means, self.default_access, (*self.inside, word))
            members = inner.rules(split_words(settings.text(word)))
            return Rule(word, _no_opinion, waits=False, softened=softened, members=members)
        return self._mistake(word, texts.unknown_restriction(word))

    @staticmethod
    def _mistake(word: str, warning: str) -> Rule:
        """A rule that complains and answers that the configuration is wrong."""

        def ask(check: Check) -> Answer:
            check.means.log.warning(warning)
            raise server_error()

        return Rule(word, ask, waits=False)


def _complain_about_bare_table(word: str, check: Check) -> Answer:
    check.means.log.warning(texts.access_word_needed(DEFAULT_ACCESS, check.subject_class, word))
    raise server_error()


def _no_opinion(check: Check) -> Answer:  # noqa: ARG001
    return None


def _order_problem(argument: str) -> str:
    try:
        table_with_order(argument)
    except ConfigError as problem:
        return str(problem)
    return ""


def _argument_problem(restriction: Restriction, argument: str) -> str:
    """What is wrong with the word after a restriction, as a log text, or ""."""
    match restriction.takes:
        case Takes.TABLE if ":" not in argument:
            return texts.table_needed(restriction.name, argument or restriction.name)
        case Takes.TABLE:
            return _order_problem(argument)
        case Takes.SERVER if ":" not in argument:
            return texts.server_needed(restriction.name)
        case Takes.NUMBER if not argument.isdigit():
            return texts.number_needed(restriction.name)
        case _:
            return ""
