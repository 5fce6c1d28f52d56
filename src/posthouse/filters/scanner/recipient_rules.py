"""What holds for each recipient: levels, what is not looked for, what passes all the same (@*_maps of amavisd.conf)."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from posthouse.filters.scanner.amavisd_conf import AmavisdConf
from posthouse.filters.scanner.amavisd_names import BYPASSES, LOVERS
from posthouse.filters.scanner.judge import Kind, Levels, Personal
from posthouse.filters.scanner.lookups import Lookup, lookup_of
from posthouse.filters.scanner.perl_values import Value

WORDS = {
    "virus": Kind.INFECTED, "banned": Kind.BANNED, "spam": Kind.SPAM, "bad_header": Kind.BAD_HEADER,
    "unchecked": Kind.UNCHECKED,
}  # fmt: skip
_CACHE = 10_000


@dataclass(frozen=True, slots=True)
class Fallback:
    """What holds where no table knows the recipient."""

    levels: Levels
    subject_tag: str
    spamd_user: str


class RecipientRules:
    """Asks amavisd's tables about recipients, and remembers what they said."""

    def __init__(self, conf: AmavisdConf, fallback: Fallback) -> None:
        self._fallback = fallback
        self._bypasses = {
            kind: lookup_of(conf, f"{BYPASSES[word]}_maps") for word, kind in WORDS.items() if word in BYPASSES
        }
        self._loves = {kind: lookup_of(conf, f"{LOVERS[word]}_maps") for word, kind in WORDS.items()}
        self._tag = lookup_of(conf, "spam_tag_level_maps")
        self._tag2 = lookup_of(conf, "spam_tag2_level_maps")
        self._kill = lookup_of(conf, "spam_kill_level_maps")
        self._dsn = lookup_of(conf, "spam_dsn_cutoff_level_maps")
        self._quarantine = lookup_of(conf, "spam_quarantine_cutoff_level_maps")
        self._subject = lookup_of(conf, "spam_subject_tag_maps")
        self._subject2 = lookup_of(conf, "spam_subject_tag2_maps")
        self._users = lookup_of(conf, "sa_username_maps")
        self._modifies_subject = conf.text("sa_spam_modifies_subj", "1") not in ("", "0")
        unchecked = conf.text("undecipherable_subject_tag")
        self._alerts = {Kind.UNCHECKED: unchecked} | (
            {Kind.INFECTED: "***INFECTED*** "} if conf.is_set("$final_virus_destiny") else {}
        )
        self._local = lookup_of(conf, "local_domains_maps")
        self._known: dict[tuple[str, bool], Personal] = {}

    @property
    def knows_local(self) -> bool:
        """Whether amavisd.conf says which domains are local."""
        return bool(self._local.tables)

    def is_local(self, address: str) -> bool:
        """Whether it says so of this one."""
        return self._local.holds(address)

    def bypasses_for_all(self, kind: Kind) -> bool:
        """Whether nobody wants this looked for."""
        lookup = self._bypasses.get(kind)
        return lookup is not None and lookup.holds_for_all

    def of(self, address: str, *, is_local: bool) -> Personal:
        """The rules for a recipient."""
        key = (address, is_local)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHE:
                self._known.clear()
            found = self._known[key] = self._look_up(address, is_local)
        return found

    def _look_up(self, address: str, is_local: bool) -> Personal:
        usual, bypasses = self._fallback.levels, _holding(self._bypasses, address)
        if Kind.SPAM in bypasses:
            bypasses |= {Kind.SPAMMY}
        levels = Levels(
            _number(self._tag.find(address), usual.tag),
            _number(self._tag2.find(address), usual.tag2),
            _number(self._kill.find(address), usual.kill),
            _number(self._dsn.find(address), usual.dsn_cutoff),
            _number(self._quarantine.find(address), usual.quarantine_cutoff),
        )
        return Personal(
            levels, bypasses, _holding(self._loves, address), is_local, self._spamd_user(address), self._tags(address)
        )

    def _tags(self, address: str) -> dict[Kind, str]:
        tags = dict(self._alerts)
        if self._modifies_subject:
            tags[Kind.SPAMMY] = _text(self._subject2.find(address), self._fallback.subject_tag)
            tags[Kind.CLEAN] = _text(self._subject.find(address), "")
        return tags

    def _spamd_user(self, address: str) -> str:
        found = self._users.find(address)
        if isinstance(found, str):
            return found
        user, _, domain = address.rpartition("@")
        names = {"recipient": address.lower(), "user": user.lower(), "domain": domain.lower()}
        name = Template(self._fallback.spamd_user).safe_substitute(names)
        return name if name.isprintable() else ""


def _holding(lookups: dict[Kind, Lookup], address: str) -> frozenset[Kind]:
    return frozenset(kind for kind, lookup in lookups.items() if lookup.holds(address))


def _number(value: Value, default: float | None) -> float | None:
    if value is None:
        return default
    try:
        return float(value) if isinstance(value, (str, float)) else default
    except ValueError:
        return default


def _text(value: Value, default: str) -> str:
    return value if isinstance(value, str) else default
