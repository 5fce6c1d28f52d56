"""What an amavisd.conf says: assignments of constants, and by file and line what goes beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

from filters.amavisd_scene import conf_of
from posthouse.filters.scanner.amavisd_conf import AmavisdConf, files_of, parse
from posthouse.filters.scanner.perl_values import Ref, Regex

GUIDE = """\
# these are negative values leave first commented if ClamAV is installed
@bypass_virus_checks_maps = (1);  # uncomment to DISABLE anti-virus code
# @bypass_spam_checks_maps  = (1);  # uncomment to DISABLE anti-spam code
$daemon_user  = 'vscan';     # (no default;  customary: vscan or amavis), -u
$daemon_group = 'vscan';     # (no default;  customary: vscan or amavis), -g
$mydomain = 'example.com';   # a convenient default for other settings
$MYHOME = '/home/var/amavis';   # a convenient default for other settings, -H
$TEMPBASE = "$MYHOME/tmp";   # working directory, needs to exist
$QUARANTINEDIR = '';  #
$log_level = 3;              # verbosity 0..5, -d
$log_recip_templ = undef;    # disable by-recipient level-0 log entries
$DO_SYSLOG = 1;              # log via syslogd (preferred)
$syslog_facility = 'mail';   # Syslog facility as a string
$syslog_priority = 'info';  # Syslog base (minimal) priority as a string,
$inet_socket_port = 10024;   # listen on this local TCP port(s) (see $protocol)
$virus_admin               = "virusalert\\@$mydomain";  # notifications recip.
$mailfrom_notify_admin     = "virusalert\\@$mydomain";  # notifications sender
$mailfrom_notify_recip     = "virusalert\\@$mydomain";  # notifications sender
$mailfrom_notify_spamadmin = "spam.police\\@$mydomain"; # notifications sender
$mailfrom_to_quarantine = ''; # null return path; uses original sender if undef
$notify_method  = 'smtp:[127.0.0.1]:10025';
$forward_method = 'smtp:[127.0.0.1]:10025';  # set to undef with milter!
$final_virus_destiny      = D_DISCARD;
$final_banned_destiny     = D_DISCARD;
$final_spam_destiny       = D_DISCARD;
"""


def test_all_of_the_guides_assignments_are_read():
    conf = conf_of(GUIDE)
    assert conf.values["@bypass_virus_checks_maps"] == (1.0,)
    assert not conf.is_set("@bypass_spam_checks_maps")
    assert conf.text("QUARANTINEDIR", "unset") == ""
    assert conf.text("virus_admin") == "virusalert@example.com"
    assert conf.text("forward_method") == "smtp:[127.0.0.1]:10025"
    assert conf.text("final_spam_destiny") == "D_DISCARD"
    assert [beyond.text for beyond in conf.beyond] == [
        "amavisd.conf, line 18: $mailfrom_notify_recip has no effect here"
    ]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("$sa_mail_body_size_limit = 400*1024;", "$sa_mail_body_size_limit", 409600.0),
        ("$MAX_EXPANSION_QUOTA = 300_000;", "$MAX_EXPANSION_QUOTA", 300000.0),
        ("$sa_tag_level_deflt = -999;", "$sa_tag_level_deflt", -999.0),
        ("$sa_tag_level_deflt = undef;", "$sa_tag_level_deflt", None),
        ("$mydomain = 'it''s';", "$mydomain", None),
        ("$mydomain = 'it\\'s';", "$mydomain", "it's"),
        ('$a = "x\\t\\$y"; $virus_admin = "${a}\\n" . \'z\';', "$virus_admin", "x\t$y\nz"),
        ("@mynetworks = qw( 127.0.0.0/8\n 10.0.0.0/8 );", "@mynetworks", ("127.0.0.0/8", "10.0.0.0/8")),
        ("@local_domains_acl = ( \".$mydomain\", 'b' );", "@local_domains_acl", (".example.com", "b")),
        ('@local_domains_maps = ( [".$mydomain"] );', "@local_domains_maps", ((".example.com",),)),
        ("@spam_lovers_maps = (\\%a, \\@b, \\$c);", "@spam_lovers_maps", (Ref("%", "a"), Ref("@", "b"), Ref("$", "c"))),
        ("%spam_lovers = ('a@b' => 1, 'c' => 0,);", "%spam_lovers", {"a@b": 1.0, "c": 0.0}),
        ("$virus_lovers{'a@b'} = 1;", "%virus_lovers", {"a@b": 1.0}),
        ("@spam_lovers_maps = (read_hash('/lovers'));", "@spam_lovers_maps", ({"a@b": 1.0, ".c": "2.5"},)),
        ("read_hash(\\%spam_lovers, '/lovers');", "%spam_lovers", {"a@b": 1.0, ".c": "2.5"}),
        ("chomp($mydomain = `head -n 1 /etc/mailname`);", "$mydomain", "named.example"),
        ("chomp($myhostname = `hostname --fqdn`);", "$myhostname", "mx.example.com"),
        ("$ENV{PATH} = $path = '/bin'; $X_HEADER_LINE = 'x';", "$X_HEADER_LINE", "x"),
        ("push(@mynetworks, '10.0.0.0/8');", "@mynetworks", ("10.0.0.0/8",)),
        ("=head1 NAME\n$mydomain = 'no';\n=cut\n$mydomain = 'yes';", "$mydomain", "yes"),
        ("$mydomain = 'yes';\n__END__\n$mydomain = 'no';", "$mydomain", "yes"),
    ],
)  # fmt: skip
def test_constants_in_the_forms_of_perl(text, name, value):
    conf = conf_of(text, _lovers="# who\na@B\n.c 2.5 # so\n", _etc_mailname="named.example\nmore\n")
    assert conf.values.get(name) == value


def test_patterns_are_taken_with_their_delimiters_flags_and_values():
    conf = conf_of("$banned_filename_re = new_RE(\n # no\n qr'.\\.(exe|scr)$'i,\n [ qr{^\\.zip$}x => 0 ], '^text/');\n")
    assert conf.values["$banned_filename_re"].rules == (
        (Regex(".\\.(exe|scr)$", "i"), 1.0), (Regex("^\\.zip$", "x"), 0.0), (Regex("^text/"), 1.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("$a = 1;\nif ($a) { $b = 1; }\n$c = 2;\n", 2, "not understood, has no effect: if"),
        ("\n$x = sub { 1 };\n", 2, "not understood"),
        ("$final_spam_destiny = $undefined;\n", 1, "$undefined is not known"),
        ("$mydomain = `date`;\n", 1, "`date`"),
        ("@score_sender_maps = (1);\n", 1, "@score_sender_maps has no effect here"),
        ("$policy_bank{'X'} = { a => 1 };\n", 1, "%policy_bank has no effect here"),
        ("$a = 1;\n$b = 'never closed;\n", 2, "does not end"),
        ("$sql = <<'END';\nx\n", 2, "does not end"),
        (
            "@x = ([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]);",
            1,
            "deeply",
        ),
        ("%h = (1, 2, 3);", 1, "odd number"),
        ("read_hash(\\%a, '/gone');", 1, "/gone: No such file"),
        ("$a{x}{y} = 1;", 1, "not understood"),
    ],
)
def test_perl_beyond_constants_is_named_with_its_line(text, line, words):
    beyond = conf_of(text).beyond[-1]
    assert (beyond.file, beyond.line) == ("amavisd.conf", line)
    assert words in beyond.text


def test_of_the_virus_scanners_clamd_is_taken_and_the_others_are_named():
    conf = conf_of(
        "@av_scanners = (\n ['Sophie', \\&ask_daemon, [\"{}/\\n\", '/s'], qr/a/m, qr/b/m, qr/c/m ],\n"
        ' [\'ClamAV-clamd\',\n   \\&ask_daemon, ["CONTSCAN {}\\n", "/run/clamd.ctl"],\n'
        "   qr/\\bOK$/m, qr/\\bFOUND$/m,\n   qr/^.*?: (?!Infected Archive)(.*) FOUND$/m ],\n"
        " ['Odd', 'odd', '-a {}', [0], [1..7], sub {0}],\n);\n"
    )
    assert conf.clamd == ["unix:/run/clamd.ctl"]
    assert conf.beyond[0].text == "amavisd.conf, line 1: @av_scanners: only clamd is asked, not Sophie, Odd"


@pytest.mark.skipif(not Path("/etc/amavis/conf.d").is_dir(), reason="Debian's package amavisd-new is not installed")
def test_debians_own_files_are_read_in_their_order():
    conf = AmavisdConf()

    class Machine:
        hostname, domain = "mx.example.com", "example.com"

        def read(self, path):
            return Path(path).read_text()

    for path in files_of(["/usr/share/amavis/conf.d", "/etc/amavis/conf.d"]):
        parse(Path(path).read_text(), path, conf, Machine())
    assert conf.text("QUARANTINEDIR") == "/var/lib/amavis/virusmails"
    assert conf.number("sa_kill_level_deflt", 0) == 6.31
    assert conf.clamd == ["unix:/var/run/clamav/clamd.ctl"]
    assert [beyond for beyond in conf.beyond if "not understood" in beyond.why] == []


def test_a_directory_is_read_without_backups(tmp_path):
    for name in ("50-user", "05-domain_id", "50-user~", "20-x.dpkg-old"):
        (tmp_path / name).write_text("")
    assert [Path(path).name for path in files_of([str(tmp_path)])] == ["05-domain_id", "50-user"]
