"""How mail is scanned: from main.cf, and from an amavisd.conf where one is named."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.filters.scanner.amavisd_conf import AmavisdConf, parse
from posthouse.filters.scanner.judge import Destiny, Kind, Levels

_DESTINIES = {
    Kind.INFECTED: ("final_virus_destiny", Destiny.DISCARD),
    Kind.BANNED: ("final_banned_destiny", Destiny.BOUNCE),
    Kind.SPAM: ("final_spam_destiny", Destiny.BOUNCE),
    Kind.BAD_HEADER: ("final_bad_header_destiny", Destiny.PASS),
}


@dataclass(frozen=True, slots=True)
class ScanRules:
    """Sizes in bytes, limit in seconds. forward is a next hop of smtp(8). quarantine is a Maildir ("" none).

    virus_admin and spam_admin are told of what was stopped, "" nobody. beyond are lines of amavisd.conf that were not
    understood.
    """

    spamd: tuple[str, ...]
    clamd: tuple[str, ...]
    forward: str
    transport: str
    limit: float
    spamd_down: str
    clamd_down: str
    spam_size: int
    virus_size: int
    levels: Levels
    destinies: dict[Kind, Destiny]
    subject_tag: str = ""
    scanned_by: str = ""
    quarantine: str = ""
    virus_admin: str = ""
    spam_admin: str = ""
    notice_sender: str = ""
    beyond: list[tuple[int, str]] = field(default_factory=list)


def scan_rules(settings: Settings) -> ScanRules:
    """The rules of a scan service. Raises ConfigError for an amavisd.conf that cannot be read."""
    conf = _amavisd_conf(settings)
    host, usual = settings.text("myhostname"), Levels()
    forward = conf.text("forward_method").removeprefix("smtp:") or settings.text("posthouse_scan_forward")
    return ScanRules(
        spamd=() if _is_bypassed(conf, "bypass_spam_checks_maps") else settings.items("posthouse_scan_spamd"),
        clamd=() if _is_bypassed(conf, "bypass_virus_checks_maps") else settings.items("posthouse_scan_clamd"),
        forward=forward,
        transport=settings.text("posthouse_scan_transport"),
        limit=settings.seconds("posthouse_scan_timeout"),
        spamd_down=settings.text("posthouse_scan_spamd_down"),
        clamd_down=settings.text("posthouse_scan_clamd_down"),
        spam_size=int(conf.number("sa_mail_body_size_limit", settings.integer("posthouse_scan_spam_size_limit"))),
        virus_size=settings.integer("posthouse_scan_virus_size_limit"),
        levels=Levels(
            conf.number("sa_tag_level_deflt", usual.tag),
            conf.number("sa_tag2_level_deflt", usual.tag2),
            conf.number("sa_kill_level_deflt", usual.kill),
        ),
        destinies={kind: _destiny(conf, name, default) for kind, (name, default) in _DESTINIES.items()},
        subject_tag=conf.text("sa_spam_subject_tag"),
        scanned_by=conf.text("X_HEADER_LINE", f"Posthouse at {host}"),
        quarantine=conf.text("QUARANTINEDIR"),
        virus_admin=conf.text("virus_admin"),
        spam_admin=conf.text("spam_admin"),
        notice_sender=conf.text("mailfrom_notify_admin"),
        beyond=conf.beyond,
    )


def _amavisd_conf(settings: Settings) -> AmavisdConf:
    path = settings.text("posthouse_scan_amavisd_conf")
    if not path:
        return AmavisdConf()
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            conf = parse(file.read())
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
        raise ConfigError(problem, file=path, parameter="posthouse_scan_amavisd_conf") from error
    conf.values.setdefault("myhostname", settings.text("myhostname"))
    return conf


def _is_bypassed(conf: AmavisdConf, name: str) -> bool:
    """@bypass_virus_checks_maps = (1): everybody's mail goes by without that check."""
    return conf.list(name)[:1] == ("1",)


def _destiny(conf: AmavisdConf, name: str, default: Destiny) -> Destiny:
    word = conf.text(name)
    if not word:
        return default
    try:
        return Destiny(word)
    except ValueError:
        raise ConfigError(f"${name} = {word}: expected D_PASS, D_BOUNCE, D_REJECT or D_DISCARD") from None
