"""How mail is scanned: from main.cf, and from an amavisd.conf where one is named; what main.cf sets goes first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.filters.scanner.amavisd_conf import AmavisdConf, Beyond, files_of, parse
from posthouse.filters.scanner.amavisd_names import QUARANTINE_METHODS
from posthouse.filters.scanner.bad_header import WORDS as HEADER_WORDS
from posthouse.filters.scanner.bad_header import Fault
from posthouse.filters.scanner.banned import BannedRules
from posthouse.filters.scanner.judge import Destiny, Kind, Levels
from posthouse.filters.scanner.limits import Limits
from posthouse.filters.scanner.lookups import Constant, Lookup, Patterns, compile_patterns, lookup_of
from posthouse.filters.scanner.perl_values import NotSimple, RegexList
from posthouse.filters.scanner.recipient_rules import WORDS, Fallback, RecipientRules
from posthouse.filters.scanner.tagging import OWN_FIELDS, SPAM_FIELDS, Marks

# What both files have a name for.
_SAME = {
    "tag_level": "$sa_tag_level_deflt", "tag2_level": "$sa_tag2_level_deflt", "kill_level": "$sa_kill_level_deflt",
    "dsn_cutoff_level": "$sa_dsn_cutoff_level", "subject_tag": "$sa_spam_subject_tag", "timeout": "$sa_timeout",
    "files_limit": "$MAXFILES", "levels_limit": "$MAXLEVELS", "expanded_limit": "$MAX_EXPANSION_QUOTA",
}  # fmt: skip
_ADDRESS = re.compile(r"(?:unix:|local:)?/\S+|(?:inet:)?(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}")


@dataclass(frozen=True, slots=True)
class BackendRules:
    """One kind of back end. limit is in seconds for one message, size in bytes (0 none); down is what happens to mail
    while none answers; after so many failures in a row one rests for so many seconds.
    """

    addresses: tuple[str, ...]
    limit: float
    size: int
    down: str
    failures: int
    rest: float


@dataclass(frozen=True, slots=True)
class ScanRules:
    """forward is a next hop of smtp(8). quarantines: a Maildir, an address or "" for each kind; admins are told of what
    was found, notices come from notice_senders; quarantine_sender sends what is kept by mail (None: its own sender).
    networks are those of the house's own clients (None: main.cf's). header_faults are the kinds of bad headers that
    count. beyond is what of amavisd.conf has no effect.
    """

    spamd: BackendRules
    clamd: BackendRules
    forward: str
    transport: str
    destinies: Mapping[Kind, Destiny]
    recipients: RecipientRules
    banned: BannedRules
    limits: Limits
    marks: Marks
    quarantines: Mapping[Kind, str]
    admins: Mapping[Kind, Lookup]
    notice_senders: Mapping[Kind, str]
    quarantine_sender: str | None = None
    in_archives: bool = True
    networks: tuple[str, ...] | None = None
    header_faults: frozenset[Fault] = frozenset(Fault)
    removed_fields: tuple[str, ...] = OWN_FIELDS
    beyond: list[Beyond] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Machine:
    hostname: str
    domain: str

    def read(self, path: str) -> str:
        return _read(path)


def scan_rules(settings: Settings) -> ScanRules:
    """The rules of a scan service. Raises ConfigError for an amavisd.conf that cannot be read."""
    conf = read_amavisd_conf(settings)
    try:
        return _rules(settings, conf)
    except NotSimple as bad:
        raise ConfigError(f"amavisd.conf: {bad}", parameter="posthouse_scan_amavisd_conf") from bad


def read_amavisd_conf(settings: Settings) -> AmavisdConf:
    """What the files named in main.cf say. Raises ConfigError."""
    conf = AmavisdConf()
    machine = _Machine(settings.text("myhostname"), settings.text("mydomain"))
    try:
        for path in files_of(settings.items("posthouse_scan_amavisd_conf")):
            parse(_read(path), path, conf, machine)
    except OSError as error:
        problem = f"cannot read {error.filename}: {error.strerror}"
        raise ConfigError(problem, file=error.filename, parameter="posthouse_scan_amavisd_conf") from error
    for word, name in _SAME.items():
        if settings.is_set(f"posthouse_scan_{word}"):
            conf.values.pop(name, None)  # main.cf has the last word
    return conf


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(4_000_000)


def _rules(settings: Settings, conf: AmavisdConf) -> ScanRules:
    recipients = RecipientRules(conf, _fallback(settings))
    forward, transport = _forward(settings, conf)
    domain = settings.text("mydomain")
    return ScanRules(
        spamd=_spamd(settings, conf, recipients),
        clamd=_clamd(settings, conf, recipients),
        forward=forward,
        transport=transport,
        destinies={kind: _destiny(settings, conf, word) for word, kind in WORDS.items()},
        recipients=recipients,
        banned=_banned(settings, conf, recipients),
        limits=_limits(settings, conf),
        marks=Marks(
            conf.text("X_HEADER_TAG", "X-Virus-Scanned"),
            conf.text("X_HEADER_LINE", f"Posthouse at {conf.text('mydomain', domain)}"),
            star=conf.text("sa_spam_level_char", "*"),
        ),
        quarantines=_quarantines(settings, conf),
        admins=_admins(settings, conf),
        notice_senders=_notice_senders(conf),
        quarantine_sender=conf.text("mailfrom_to_quarantine") if _is_defined(conf, "$mailfrom_to_quarantine") else None,
        in_archives=settings.flag("posthouse_scan_archives"),
        networks=conf.list("mynetworks") if conf.is_set("@mynetworks") else None,
        header_faults=_header_faults(conf, recipients),
        removed_fields=_removed_fields(conf),
        beyond=conf.beyond,
    )


def _fallback(settings: Settings) -> Fallback:
    def level(name: str) -> float | None:
        value = settings.text(f"posthouse_scan_{name}")
        try:
            return float(value) if value else None
        except ValueError:
            text = f"posthouse_scan_{name} = {value}: it is no number"
            raise ConfigError(text, parameter=f"posthouse_scan_{name}") from None

    levels = Levels(level("tag_level"), level("tag2_level"), level("kill_level"), level("dsn_cutoff_level"))
    tag = settings.text("posthouse_scan_subject_tag")
    return Fallback(levels, f"{tag} " if tag else "", settings.raw("posthouse_scan_spamd_user"))


def _spamd(settings: Settings, conf: AmavisdConf, recipients: RecipientRules) -> BackendRules:
    usual = settings.integer("posthouse_scan_spam_size_limit")
    size = usual if settings.is_set("posthouse_scan_spam_size_limit") else conf.number("sa_mail_body_size_limit", usual)
    addresses = () if recipients.bypasses_for_all(Kind.SPAM) else settings.items("posthouse_scan_spamd")
    limit = conf.number("sa_timeout", None) or settings.seconds("posthouse_scan_timeout")
    return _backend(settings, "spamd", addresses, (limit, int(size or 0)))


def _clamd(settings: Settings, conf: AmavisdConf, recipients: RecipientRules) -> BackendRules:
    addresses = settings.items("posthouse_scan_clamd")
    if conf.has_scanners and not settings.is_set("posthouse_scan_clamd"):
        addresses = tuple(conf.clamd)
    if recipients.bypasses_for_all(Kind.INFECTED):
        addresses = ()
    limit = (settings.seconds("posthouse_scan_timeout"), settings.integer("posthouse_scan_virus_size_limit"))
    return _backend(settings, "clamd", addresses, limit)


def _backend(settings: Settings, name: str, addresses: tuple[str, ...], limits: tuple[float, int]) -> BackendRules:
    for address in addresses:
        if not _ADDRESS.fullmatch(address):
            text = f"posthouse_scan_{name}: {address}: inet:host:port and unix:/path are understood"
            raise ConfigError(text, parameter=f"posthouse_scan_{name}")
    return BackendRules(
        addresses, *limits, settings.text(f"posthouse_scan_{name}_down"),
        settings.integer("posthouse_scan_failures_limit"), settings.seconds("posthouse_scan_rest_time"),
    )  # fmt: skip


def _forward(settings: Settings, conf: AmavisdConf) -> tuple[str, str]:
    transport, forward = settings.text("posthouse_scan_transport"), settings.text("posthouse_scan_forward")
    method = conf.text("forward_method")
    if settings.is_set("posthouse_scan_forward") or not method:
        return forward, transport
    kind, _, hop = method.partition(":")
    if kind not in ("smtp", "lmtp") or not hop or "*" in hop:
        raise NotSimple(f"$forward_method = '{method}': smtp:[host]:port or lmtp:[host]:port is understood")
    if not settings.is_set("posthouse_scan_transport"):
        transport = kind
    if not hop.startswith(("[", "/")):
        host, _, port = hop.rpartition(":")
        hop = f"[{host}]:{port}"
    return hop, transport


def _destiny(settings: Settings, conf: AmavisdConf, word: str) -> Destiny:
    parameter, name = f"posthouse_scan_{word}_destiny", f"final_{word}_destiny"
    if settings.is_set(parameter) or not conf.text(name):
        return Destiny(f"D_{settings.text(parameter).upper()}")
    try:
        return Destiny(conf.text(name))
    except ValueError:
        raise NotSimple(f"${name} = {conf.text(name)}: expected D_PASS, D_BOUNCE, D_REJECT or D_DISCARD") from None


def _banned(settings: Settings, conf: AmavisdConf, recipients: RecipientRules) -> BannedRules:
    if recipients.bypasses_for_all(Kind.BANNED):
        return BannedRules()
    words = tuple(word.lower() for word in settings.items("posthouse_scan_banned_names"))
    tables = lookup_of(conf, "banned_filename_maps").tables
    patterns = [table for table in tables if isinstance(table, Patterns)]
    if any(table == Constant("DEFAULT") for table in tables) and not patterns:
        usual = conf.values.get("$banned_filename_re")
        patterns = [compile_patterns(usual)] if isinstance(usual, RegexList) else []
    elif len(patterns) < len(tables):
        why = "@banned_filename_maps has no effect here but for its new_RE: rules by recipient are not known"
        conf.beyond.append(Beyond("amavisd.conf", 0, why))
    return BannedRules(words, Lookup(tuple(patterns)))


def _limits(settings: Settings, conf: AmavisdConf) -> Limits:
    usual = Limits()
    return Limits(
        int(conf.number("MAXFILES", None) or settings.integer("posthouse_scan_files_limit")),
        int(conf.number("MAXLEVELS", None) or settings.integer("posthouse_scan_levels_limit")),
        int(conf.number("MAX_EXPANSION_QUOTA", None) or settings.integer("posthouse_scan_expanded_limit")),
        int(conf.number("MIN_EXPANSION_QUOTA", None) or usual.least_expanded),
        conf.number("MAX_EXPANSION_FACTOR", None) or usual.factor,
    )


def _quarantines(settings: Settings, conf: AmavisdConf) -> dict[Kind, str]:
    """Where mail of each kind is kept; undef as method or "" as place switches it off, an address is a place, too."""
    place = settings.text("posthouse_scan_quarantine")
    if not settings.is_set("posthouse_scan_quarantine"):
        place = conf.text("QUARANTINEDIR") or place
    found: dict[Kind, str] = {}
    for word, kind in WORDS.items():
        method, to = QUARANTINE_METHODS[word], conf.text(f"{word}_quarantine_to", "kept")
        is_off = (conf.is_set(f"${method}") and not conf.text(method)) or not to
        found[kind] = "" if is_off else to if "@" in to else place
    return found


def _admins(settings: Settings, conf: AmavisdConf) -> dict[Kind, Lookup]:
    usual, is_set = settings.text("posthouse_scan_admin"), settings.is_set("posthouse_scan_admin")
    found: dict[Kind, Lookup] = {}
    for word, kind in WORDS.items():
        name = "virus" if word == "unchecked" else word
        lookup = lookup_of(conf, f"{name}_admin_maps")
        if usual and kind is not Kind.BAD_HEADER and (is_set or not lookup.tables):
            lookup = Lookup((Constant(usual),))
        found[kind] = lookup
    return found


def _notice_senders(conf: AmavisdConf) -> dict[Kind, str]:
    usual = conf.text("mailfrom_notify_admin")
    return dict.fromkeys(WORDS.values(), usual) | {Kind.SPAM: conf.text("mailfrom_notify_spamadmin") or usual}


def _is_defined(conf: AmavisdConf, name: str) -> bool:
    return conf.values.get(name) is not None


def _header_faults(conf: AmavisdConf, recipients: RecipientRules) -> frozenset[Fault]:
    """%allowed_header_tests, where it is set."""
    if recipients.bypasses_for_all(Kind.BAD_HEADER):
        return frozenset()
    tests = conf.values.get("%allowed_header_tests")
    if not isinstance(tests, dict):
        return frozenset(Fault)
    return frozenset(fault for word, fault in HEADER_WORDS.items() if tests.get(word) not in (None, 0.0, "", "0"))


def _removed_fields(conf: AmavisdConf) -> tuple[str, ...]:
    removed: tuple[str, ...] = OWN_FIELDS
    if conf.text("remove_existing_spam_headers", "1") in ("", "0"):
        removed = tuple(name for name in removed if name not in SPAM_FIELDS)
    if conf.text("remove_existing_x_scanned_headers", "0") not in ("", "0"):
        removed = (*removed, conf.text("X_HEADER_TAG", "X-Virus-Scanned"))
    return removed
