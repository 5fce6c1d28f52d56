"""How mail is scanned: main.cf first, then amavisd.conf, then what is usual."""

from __future__ import annotations

import pytest

from filters.amavisd_scene import rules_of
from posthouse.errors import ConfigError
from posthouse.filters.scanner.bad_header import Fault
from posthouse.filters.scanner.judge import Destiny, Kind


def test_what_is_usual(tmp_path):
    rules = rules_of(tmp_path)
    assert rules.spamd.addresses == ("inet:127.0.0.1:783",)
    assert rules.clamd.addresses == ("unix:/run/clamav/clamd.ctl",)
    assert (rules.forward, rules.transport) == ("[127.0.0.1]:10025", "smtp")
    assert rules.destinies[Kind.INFECTED] is Destiny.DISCARD
    assert rules.destinies[Kind.SPAM] is Destiny.PASS
    assert rules.quarantines[Kind.INFECTED] == ""
    assert rules.banned.is_empty
    levels = rules.recipients.of("a@b", is_local=True).levels
    assert (levels.tag, levels.tag2, levels.kill, levels.dsn_cutoff) == (2.0, 6.2, 6.9, 10.0)


def test_amavisd_conf_says_and_main_cf_has_the_last_word(tmp_path):
    conf = "$final_spam_destiny = D_DISCARD; $final_virus_destiny = D_REJECT; $forward_method = 'smtp:[::1]:2525';"
    rules = rules_of(tmp_path, conf, posthouse_scan_spam_destiny="bounce")
    assert rules.destinies[Kind.SPAM] is Destiny.BOUNCE
    assert rules.destinies[Kind.INFECTED] is Destiny.REJECT
    assert rules.forward == "[::1]:2525"
    assert rules_of(tmp_path, conf, posthouse_scan_forward="[192.0.2.1]:25").forward == "[192.0.2.1]:25"


def test_levels_and_limits_of_main_cf_go_first_too(tmp_path):
    conf = "$sa_kill_level_deflt = 5; $sa_spam_subject_tag = 'A '; $MAXFILES = 10; $sa_tag2_level_deflt = 4;"
    rules = rules_of(
        tmp_path, conf, posthouse_scan_kill_level="9", posthouse_scan_subject_tag="[M]", posthouse_scan_files_limit="20",
        posthouse_scan_spamd="[::1]:783 inet:mx.example.com:1 /run/s unix:/run/t 192.0.2.1:2",
    )  # fmt: skip
    personal = rules.recipients.of("a@b", is_local=True)
    assert (personal.levels.kill, personal.levels.tag2, personal.subject_tags[Kind.SPAMMY]) == (9.0, 4.0, "[M] ")
    assert rules.limits.files == 20
    assert len(rules.spamd.addresses) == 5


def test_a_forward_method_by_lmtp_takes_the_lmtp_service(tmp_path):
    rules = rules_of(tmp_path, "$forward_method = 'lmtp:127.0.0.1:24';")
    assert (rules.forward, rules.transport) == ("[127.0.0.1]:24", "lmtp")


def test_checks_that_everybody_bypasses_need_no_daemon(tmp_path):
    rules = rules_of(tmp_path, "@bypass_virus_checks_maps = (1); @bypass_header_checks_maps = (1);")
    assert rules.clamd.addresses == ()
    assert rules.spamd.addresses != ()
    assert rules.header_faults == frozenset()


def test_checks_that_some_bypass(tmp_path):
    rules = rules_of(tmp_path, "@bypass_spam_checks_maps = (['a@b']); @virus_lovers_maps = ({'.c' => 1});").recipients
    assert rules.of("a@b", is_local=True).bypasses == {Kind.SPAM, Kind.SPAMMY}
    assert rules.of("x@b", is_local=True).bypasses == set()
    assert rules.of("x@y.c", is_local=True).loves == {Kind.INFECTED}


def test_levels_tags_and_names_by_recipient(tmp_path):
    conf = (
        "@spam_kill_level_maps = ({'vip@b' => 99}, \\$sa_kill_level_deflt); $sa_kill_level_deflt = 7; "
        "$sa_tag_level_deflt = undef; @spam_subject_tag2_maps = ({'vip@b' => 'V '}, 'S ');"
        "@sa_username_maps = ({'.c' => 'shared'});"
    )
    rules = rules_of(
        tmp_path, conf, posthouse_scan_spamd_user="${user}@$domain", posthouse_scan_tag_level=""
    ).recipients
    vip, other = rules.of("vip@b", is_local=True), rules.of("Joe@X.c", is_local=True)
    assert (vip.levels.kill, other.levels.kill, other.levels.tag) == (99.0, 7.0, None)
    assert (vip.subject_tags[Kind.SPAMMY], other.subject_tags[Kind.SPAMMY]) == ("V ", "S ")
    assert (vip.spamd_user, other.spamd_user) == ("vip@b", "shared")


def test_local_domains(tmp_path):
    assert not rules_of(tmp_path).recipients.knows_local
    rules = rules_of(tmp_path, "$mydomain = 'example.org'; @local_domains_acl = ( \".$mydomain\" );").recipients
    assert rules.knows_local
    assert [rules.is_local(name) for name in ("a@example.org", "a@b.example.org", "a@else.test")] == [True, True, False]


def test_where_mail_is_kept(tmp_path):
    conf = "$QUARANTINEDIR = '/q'; $spam_quarantine_to = 'box@b'; $banned_files_quarantine_method = undef; $virus_quarantine_to = '';"
    kept = rules_of(tmp_path, conf).quarantines
    assert (kept[Kind.SPAM], kept[Kind.BANNED], kept[Kind.INFECTED], kept[Kind.BAD_HEADER]) == ("box@b", "", "", "/q")
    assert rules_of(tmp_path, posthouse_scan_quarantine="/mine").quarantines[Kind.SPAM] == "/mine"


def test_who_is_told(tmp_path):
    admins = rules_of(tmp_path, "$virus_admin = 'v@b'; @spam_admin_maps = ({'.c' => 's@c'});").admins
    assert admins[Kind.INFECTED].find("a@b") == "v@b"
    assert (admins[Kind.SPAM].find("a@c"), admins[Kind.SPAM].find("a@b")) == ("s@c", None)


def test_banned_rules_by_name_are_the_usual_ones_and_by_recipient_are_not_known(tmp_path):
    usual = "$banned_filename_re = new_RE(qr'x');"
    assert not rules_of(tmp_path, f"{usual} @banned_filename_maps = ('DEFAULT');").banned.is_empty
    rules = rules_of(tmp_path, f"{usual} @banned_filename_maps = ({{'.c' => 'OTHER'}});")
    assert rules.banned.is_empty
    assert "rules by recipient are not known" in rules.beyond[-1].text


def test_who_sends_notices_and_what_is_kept(tmp_path):
    rules = rules_of(
        tmp_path, "$mailfrom_notify_admin = 'v@b'; $mailfrom_notify_spamadmin = 's@b'; $mailfrom_to_quarantine = '';"
    )
    assert (rules.notice_senders[Kind.SPAM], rules.notice_senders[Kind.INFECTED]) == ("s@b", "v@b")
    assert (rules.quarantine_sender, rules_of(tmp_path).quarantine_sender) == ("", None)


def test_header_tests_can_be_chosen(tmp_path):
    assert rules_of(tmp_path, "%allowed_header_tests = ('8bit' => 1, 'missing' => 0);").header_faults == {
        Fault.EIGHT_BIT
    }


def test_the_socket_of_clamd_is_that_of_av_scanners_unless_main_cf_says_another(tmp_path):
    conf = "@av_scanners = (['ClamAV-clamd', \\&ask_daemon, [\"CONTSCAN {}\\n\", '/c'], qr/a/, qr/b/, qr/c/]);"
    assert rules_of(tmp_path, conf).clamd.addresses == ("unix:/c",)
    assert rules_of(tmp_path, conf, posthouse_scan_clamd="unix:/d").clamd.addresses == ("unix:/d",)


@pytest.mark.parametrize(
    ("conf", "settings", "words"),
    [
        ("$final_spam_destiny = 'away';", {}, "expected D_PASS"),
        ("$forward_method = 'pipe:x';", {}, "is understood"),
        ("$banned_filename_re = new_RE(qr'(');", {}, "regex"),
        ("", {"posthouse_scan_kill_level": "much"}, "it is no number"),
        ("", {"posthouse_scan_clamd": "clamd"}, "clamd: inet:host:port and unix:/path are understood"),
        ("", {"posthouse_scan_spamd": "unix:relative"}, "are understood"),
        ("", {"posthouse_scan_amavisd_conf": "/no/such/file"}, "cannot read /no/such/file"),
    ],
)
def test_what_makes_no_sense_is_said_before_mail_comes(tmp_path, conf, settings, words):
    with pytest.raises(ConfigError) as refused:
        rules_of(tmp_path, conf, **settings)
    assert words in str(refused.value)
