"""What a rule may answer to a stranger who writes to a strange destination: permit, and by what; or nothing.

More is held possible than happens, never less: refusals are certain here only where they always come.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup.table import open_table
from posthouse.policy.access_action import Word, parse_action
from posthouse.policy.catalogue import Permits, Stage, Takes
from posthouse.policy.evaluate import Rule
from posthouse.policy.means import Means
from posthouse.policy.proof import strangers
from posthouse.policy.proof.contents import Contents, Line, read_contents

_MOST_WITNESSES = 6
_DEEPEST = 20
_GROUP = re.compile(r"\((?:\?:)?[^()]*\)")
_DOMAIN_IN_PATTERN = re.compile(r"[a-z0-9-]{2,}\\\.[a-z]{2,}|\d\\\.\d+\\\.\d", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f:]+")


class Party(Enum):
    """Whose name a table is asked for."""

    CLIENT = "client"
    REVERSE = "client's unconfirmed name"
    HELO = "HELO name"
    SENDER = "sender"
    RECIPIENT = "recipient"


_PARTIES = {
    "check_client_access": Party.CLIENT,
    "check_reverse_client_hostname_access": Party.REVERSE,
    "check_helo_access": Party.HELO,
    "check_sender_access": Party.SENDER,
    "check_recipient_access": Party.RECIPIENT,
}


@dataclass(frozen=True, slots=True)
class Permission:
    """A rule that may let the stranger through its list. witnesses: what he must call himself. unknown: what says so
    cannot be read here (a server, a table of one).
    """

    rule: str
    why: str
    witnesses: tuple[tuple[Party, str], ...] = ()
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """permissions: the ways in which the rule may permit. silent: it may as well have no opinion."""

    permissions: tuple[Permission, ...] = ()
    silent: bool = True


NOTHING, REFUSES = Outcome(), Outcome(silent=False)


@dataclass(slots=True)
class Situation:
    """What is certain about the stranger's session where a list is asked.

    wide: addresses of strangers that mynetworks holds. all_ours: a domain nobody named counts as one of ours.
    stage: where the list is asked; with_recipient: one certain recipient is known then. forgets: what is postponed
    here may be lost by leaving out HELO.
    """

    means: Means
    wide: tuple[str, ...]
    all_ours: bool
    stage: Stage
    with_recipient: bool
    forgets: bool
    is_ours: Callable[[str], bool]
    softened: bool = False
    depth: int = 0
    without_named: bool = False  # recipients that a table names one by one are left out
    read: dict[str, Contents] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.means.settings

    def contents(self, spec: str) -> Contents:
        """The table's contents, read once."""
        found = self.read.get(spec)
        if found is None:
            found = self.read[spec] = read_contents(spec, self.settings)
        return found

    def knows(self, party: Party) -> bool:
        """Whether the party's name is certain to be known here."""
        match party:
            case Party.HELO:
                return self.settings.flag("smtpd_helo_required") and bool(self.stage & Stage.WITH_HELO)
            case Party.SENDER:
                return bool(self.stage & Stage.WITH_SENDER)
            case Party.RECIPIENT:
                return self.with_recipient
            case _:
                return True

    def inner(self, *, softened: bool) -> Situation:
        """The same within a list in a list."""
        return replace(self, softened=softened, depth=self.depth + 1)


def outcome_of(rule: Rule, situation: Situation) -> Outcome:
    """What the rule may answer."""
    softened = situation.softened or rule.softened
    if situation.depth > _DEEPEST:
        return REFUSES
    if rule.members:
        return ways(rule.members, situation.inner(softened=softened))
    restriction = rule.restriction
    if restriction is None:
        settings = situation.settings
        is_class = rule.text in settings.items("smtpd_restriction_classes") and settings.knows(rule.text)
        return NOTHING if is_class and not settings.text(rule.text).strip() else REFUSES
    if restriction.takes is Takes.TABLE:
        return _table_outcome(rule, situation, softened=softened)
    if restriction.takes is Takes.SERVER:
        why = f"the policy server at {rule.argument} may answer OK"
        return Outcome((Permission(rule.text, why, unknown=True),))
    if restriction.refuses_strangers:
        return _refusal(rule, situation, softened=softened)
    if restriction.name == "reject_plaintext_session":
        return NOTHING if softened or _offers_tls(situation.settings) else REFUSES
    return _permission(rule, restriction.permits, situation)


def ways(rules: tuple[Rule, ...], situation: Situation) -> Outcome:
    """The ways through rules asked in order; silent: to their end."""
    found: list[Permission] = []
    for rule in rules:
        outcome = outcome_of(rule, situation)
        found.extend(outcome.permissions)
        if not outcome.silent:
            return Outcome(tuple(found), silent=False)
    return Outcome(tuple(found))


def _permission(rule: Rule, permits: Permits, situation: Situation) -> Outcome:
    match permits:
        case Permits.ALWAYS:
            return Outcome((Permission(rule.text, "permits everybody"),), silent=False)
        case Permits.TRUSTED_CLIENT if situation.wide and "mynetworks" in rule.text.lower():
            why = f"mynetworks holds strangers' addresses such as {situation.wide[0]}"
            return Outcome((Permission(rule.text, why, ((Party.CLIENT, situation.wide[0]),)),))
        case Permits.OUR_DESTINATION if situation.all_ours:
            return Outcome((Permission(rule.text, "any domain counts as one of ours", unknown=True),))
        case _:
            return NOTHING


def _refusal(rule: Rule, situation: Situation, *, softened: bool) -> Outcome:
    name = rule.restriction.name if rule.restriction else ""
    if name in {"reject", "defer"}:
        return Outcome(silent=softened)
    if name == "defer_if_permit":
        return Outcome(silent=softened or situation.forgets)
    permissions: tuple[Permission, ...] = ()
    if name == "check_relay_domains" and situation.all_ours:
        permissions = (Permission(rule.text, "any domain counts as one of ours"),)
    return Outcome(permissions, silent=softened or situation.all_ours or not situation.with_recipient)


def _offers_tls(settings: Settings) -> bool:
    if settings.text("smtpd_tls_security_level") not in {"", "none"}:
        return True
    return any(settings.flag(name) for name in ("smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_wrappermode"))


# Tables


def _table_outcome(rule: Rule, situation: Situation, *, softened: bool) -> Outcome:
    party = _PARTIES.get(rule.restriction.name) if rule.restriction else None
    if party is None:  # logins and certificates, which a stranger has not; servers of domains, which never permit
        return NOTHING
    contents = situation.contents(rule.argument)
    if not contents.readable:
        why = f"what {rule.argument} says cannot be read here; it may be OK"
        return Outcome((Permission(rule.text, why, unknown=True),))
    hits = _values_for_strangers(rule.argument, situation) if party is Party.CLIENT else frozenset()
    within = situation.inner(softened=softened)
    found: list[Permission] = []
    for line in contents.lines:
        if not _may_match(line, party, hits, situation):
            continue
        witnesses = _witnesses(line, party, situation)
        permissions = _permissions_of(rule, line, witnesses, within)
        if party is Party.CLIENT and line.is_pattern and not line.covers_all and line.value not in hits:
            permissions = [replace(permission, witnesses=(), unknown=True) for permission in permissions]
        found += permissions
    return Outcome(tuple(found), silent=_may_be_silent(contents, party, hits, within))


def _permissions_of(
    rule: Rule, line: Line, witnesses: tuple[tuple[Party, str], ...], within: Situation
) -> list[Permission]:
    where = f"{line.place}: {line.key} {line.value}".replace(":  ", ": ")
    if "$" in line.value and line.is_pattern:
        return [Permission(rule.text, where, witnesses, unknown=True)]
    action = parse_action(line.value)
    if action.word is Word.OK:
        return [Permission(rule.text, where, witnesses)]
    if action.word is not Word.RESTRICTIONS:
        return []
    return [
        replace(inner, rule=rule.text, why=f"{where}: {inner.why}", witnesses=(*witnesses, *inner.witnesses))
        for inner in _inner_ways(action.argument, rule, within).permissions
    ]


def _inner_ways(words: str, rule: Rule, within: Situation) -> Outcome:
    default = rule.restriction.name if rule.restriction else ""
    try:
        return ways(within.means.rules_in_table(words, default), within)
    except ConfigError:
        return REFUSES


def _may_be_silent(contents: Contents, party: Party, hits: frozenset[str], within: Situation) -> bool:
    """Whether a stranger may find nothing in the table, or only what says nothing."""
    if not within.knows(party):
        return True
    wanted = {0}
    if party in {Party.CLIENT, Party.REVERSE}:
        wanted = {4} if within.settings.items("inet_protocols") == ("ipv4",) else {4, 6}
    left = set(wanted)
    for line in contents.lines:
        if (line.covers_all or _may_match(line, party, hits, within)) and _line_is_silent(line, within):
            return True
        if line.covers_all:
            left -= {line.family} if line.family else wanted
        if not left:
            return False
    return True


def _line_is_silent(line: Line, within: Situation) -> bool:
    action = parse_action(line.value)
    match action.word:
        case Word.OK:
            return False
        case Word.DISCARD:  # not done before there is a sender, nor with a filter before the queue
            return not within.knows(Party.SENDER) or bool(within.settings.text("smtpd_proxy_filter"))
        case Word.REJECT | Word.DEFER | Word.CODE:
            return within.softened
        case Word.DEFER_IF_PERMIT:
            return within.softened or within.forgets
        case Word.RESTRICTIONS:
            try:
                return ways(within.means.rules_in_table(action.argument, ""), within).silent
            except ConfigError:
                return False
        case _:
            return True


def _may_match(line: Line, party: Party, hits: frozenset[str], situation: Situation) -> bool:
    """Whether a stranger can bring it about that the line is found. Clients named one by one are no strangers."""
    if line.covers_all or not line.key:
        return True
    match party:
        case Party.CLIENT:
            return _covers_strange_clients(line, hits)
        case Party.REVERSE:
            return not _is_address(line.key) or _covers_strange_clients(line, hits)
        case Party.RECIPIENT if not line.is_pattern:
            if situation.without_named and ("@" in line.key or "." in line.key.strip(".")):
                return False
            return _may_be_elsewhere(line.key, situation)
        case _:
            return True


def _covers_strange_clients(line: Line, hits: frozenset[str]) -> bool:
    if line.family:
        return line.prefix <= (4 if line.family == 4 else 8)
    if line.is_pattern:
        return line.value in hits or "$" in line.value or not _names_a_domain(line)
    return "." not in line.key.strip(".") and not _is_address(line.key)


def _names_a_domain(line: Line) -> bool:
    """Whether a pattern is about the hosts of one domain or network (example.com), not about any (.com)."""
    pattern = _GROUP.sub("x", line.key)
    return not line.negated and "|" not in pattern and _DOMAIN_IN_PATTERN.search(pattern) is not None


def _is_address(key: str) -> bool:
    bare = key.strip("[]")
    return bare.replace(".", "").isdigit() or (":" in bare and _HEX.fullmatch(bare.lower()) is not None)


def _may_be_elsewhere(key: str, situation: Situation) -> bool:
    """Whether an address that the key matches can be in a domain that is not ours."""
    local, at, domain = key.rpartition("@")
    if not at:
        return _strange_address(key, situation) != ""
    return not domain or (bool(local) and not situation.is_ours(domain))


def _strange_address(domain: str, situation: Situation) -> str:
    """An address that is found under that domain and is not ours, or ""."""
    bare = domain.removeprefix(".")
    for name in (bare, f"elsewhere-from-us.{bare}") if not domain.startswith(".") else (f"elsewhere-from-us.{bare}",):
        if not situation.is_ours(name):
            return f"somebody@{name}"
    return ""


def _values_for_strangers(spec: str, situation: Situation) -> frozenset[str]:
    """What a table of patterns says about clients picked at random."""
    table = open_table(spec, situation.settings)
    found: set[str] = set()
    try:
        for key in (*strangers.NAMES, *strangers.V4_PROBES[:40], *strangers.V6_PROBES[:10]):
            value = table.lookup(key)
            if value is not None:
                found.add(value)
    except LookupFailed:
        return frozenset()
    return frozenset(found)


def _witnesses(line: Line, party: Party, situation: Situation) -> tuple[tuple[Party, str], ...]:
    """What the stranger must show for the line to be found."""
    if line.covers_all or not line.key:
        return ()
    if line.family:
        return _witness_in(line, party)
    if line.is_pattern:
        return tuple((party, guess) for guess in _guesses(line.key, party)[:_MOST_WITNESSES])
    return ((party, _name_for(line.key, party, situation)),)


def _witness_in(line: Line, party: Party) -> tuple[tuple[Party, str], ...]:
    """An address within a network; HELO names can be addresses, too."""
    if not line.prefix:
        return ()
    network = ipaddress.ip_network(line.key.replace("[", "").replace("]", ""), strict=False)
    return ((party, str(network[min(7, network.num_addresses - 1)])),)


def _name_for(key: str, party: Party, situation: Situation) -> str:
    match party:
        case Party.SENDER if key == situation.settings.text("smtpd_null_access_lookup_key"):
            return ""
        case Party.SENDER:
            return _address_for(key)
        case Party.RECIPIENT:
            return key if key.rpartition("@")[2] and "@" in key else _recipient_for(key, situation)
        case Party.CLIENT | Party.REVERSE if "." not in key.strip(".") and key != "unknown":
            return f"stranger-to-us.{key.strip('.')}"
        case _:
            return f"mail{key}" if key.startswith(".") else key


def _recipient_for(key: str, situation: Situation) -> str:
    if key.endswith("@"):
        return f"{key}{strangers.DOMAINS[0]}"
    return _strange_address(key, situation)


def _address_for(key: str) -> str:
    if key.endswith("@"):
        return f"{key}stranger-to-us.example"
    if "@" in key:
        return key
    return f"somebody@mail{key}" if key.startswith(".") else f"somebody@{key}"


def _guesses(pattern: str, party: Party) -> list[str]:
    """Texts that a regular expression may match: its letters, with what stands for anything filled in."""
    text = pattern.removeprefix("^").removesuffix("$")
    text = re.sub(r"\((?:\?:)?([^()|]*)(?:\|[^()]*)?\)[?*+]?", r"\1", text)
    text = re.sub(r"\[[^\]]*\][*+?]?|\\[wd][*+?]?", "1", text)
    text = re.sub(r"(?<!\\)\.[*+?]*", "x", text).replace("\\", "")
    text = re.sub(r"[*+?{}|()\[\]^$]", "", text)
    name = "stranger-to-us.example"
    if party in {Party.SENDER, Party.RECIPIENT}:
        shapes = (text, f"x{text}", f"{text}x@{name}", f"somebody@{text}", f"somebody@x{text}", f"{text}@{name}",
                  f"{text}{name}")  # fmt: skip
        return [shape for shape in shapes if shape.count("@") == 1 and not shape.startswith("@")]
    return [text, f"x{text}", f"{text}x.{name}", f"{text}{name}"]
