"""The scanner's parts: what amavisd.conf says, what scanners answer, what becomes of the mail."""

from __future__ import annotations

import pytest

from posthouse.errors import ProtocolError
from posthouse.filters.scanner.amavisd_conf import parse
from posthouse.filters.scanner.judge import Destiny, Findings, Kind, Levels, judge
from posthouse.filters.scanner.tagging import fields, tagged_header
from posthouse.protocols import clamd, spamd

GUIDE = """\
# these are negative values leave first commented if ClamAV is installed
@bypass_virus_checks_maps = (1);  # uncomment to DISABLE anti-virus code
# @bypass_spam_checks_maps  = (1);  # uncomment to DISABLE anti-spam code
$daemon_user  = 'vscan';     # (no default;  customary: vscan or amavis), -u
$mydomain = 'example.com';   # a convenient default for other settings
$MYHOME = '/home/var/amavis';   # a convenient default for other settings, -H
$TEMPBASE = "$MYHOME/tmp";   # working directory, needs to exist
$QUARANTINEDIR = '';  #
$log_recip_templ = undef;    # disable by-recipient level-0 log entries
$inet_socket_port = 10024;   # listen on this local TCP port(s) (see $protocol)
$virus_admin               = "virusalert\\@$mydomain";  # notifications recip.
$forward_method = 'smtp:[127.0.0.1]:10025';  # set to undef with milter!
$final_virus_destiny      = D_DISCARD;
@local_domains_maps = ( [".$mydomain"] );
$sa_mail_body_size_limit = 400*1024;
@lists = qw(
  one two
);
if ($x) { $y = 1; }
1;  # insure a defined return
"""


def test_the_guides_assignments_are_read():
    conf = parse(GUIDE)
    assert conf.list("bypass_virus_checks_maps") == ("1",)
    assert conf.list("bypass_spam_checks_maps") == ()
    assert conf.text("TEMPBASE") == "/home/var/amavis/tmp"
    assert conf.text("virus_admin") == "virusalert@example.com"
    assert conf.number("sa_mail_body_size_limit", 0) == 409600
    assert conf.text("final_virus_destiny") == "D_DISCARD"
    assert conf.list("lists") == ("one", "two")
    assert conf.values["log_recip_templ"] is None


def test_perl_beyond_assignments_is_named_with_its_line():
    assert [line for line, _ in parse(GUIDE).beyond] == [14, 19]


@pytest.mark.parametrize(
    ("findings", "kind", "destiny", "marked"),
    [
        (Findings(), Kind.CLEAN, Destiny.PASS, False),
        (Findings(score=1.0), Kind.CLEAN, Destiny.PASS, False),
        (Findings(score=6.5), Kind.SPAMMY, Destiny.PASS, True),
        (Findings(score=20.0), Kind.SPAM, Destiny.REJECT, True),
        (Findings(score=20.0, virus="Eicar"), Kind.INFECTED, Destiny.DISCARD, True),
    ],
)
def test_the_gravest_finding_decides(findings, kind, destiny, marked):
    destinies = {Kind.SPAM: Destiny.REJECT, Kind.INFECTED: Destiny.DISCARD}
    decision = judge(findings, Levels(), destinies)
    assert (decision.kind, decision.destiny, decision.marked) == (kind, destiny, marked)


def test_spammy_mail_is_marked_and_forged_marks_go():
    findings = Findings(score=6.5, tests=("A=1", "B=5.5"))
    decision = judge(findings, Levels(), {})
    lines = fields(findings, decision, Levels(), scanned_by="Posthouse at mx")
    header = tagged_header(b"X-Spam-Status: No,\n\tforged\nFrom: a\nSubject: hello\n", lines, "***Spam*** ")
    assert header == (
        b"X-Virus-Scanned: Posthouse at mx\nX-Spam-Flag: YES\nX-Spam-Score: 6.5\nX-Spam-Level: ******\n"
        b"X-Spam-Status: Yes, score=6.5 tagged_above=2\n\trequired=6.2 tests=[A=1, B=5.5] autolearn=unavailable\n"
        b"From: a\nSubject: ***Spam*** hello\n"
    )


def test_spamd_is_understood():
    data = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 19\r\nSpam: True ; 1000.0 / 5.0\r\n\r\nGTUBE,NO_RECEIVED\r\n"
    answer = spamd.answer(data)
    assert (answer.is_spam, answer.score, answer.tests) == (True, 1000.0, ("GTUBE", "NO_RECEIVED"))


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SPAMD/1.1 76 Bad header\r\n", b"SPAMD/1.1 0 EX_OK\r\n\r\n"]
)
def test_spamd_that_says_something_else_is_an_error(data):
    with pytest.raises(ProtocolError):
        spamd.answer(data)


def test_clamd_is_understood():
    assert clamd.answer(b"stream: OK\0") == ""
    assert clamd.answer(b"stream: Eicar-Test-Signature FOUND\0") == "Eicar-Test-Signature"
    assert clamd.answer(b"stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0") == "Eicar"
    with pytest.raises(ProtocolError):
        clamd.answer(b"INSTREAM size limit exceeded. ERROR\0")
