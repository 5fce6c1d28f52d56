"""The scanner beside the real amavisd: the same mail and the same amavisd.conf, the same lines in the log and fields."""

from __future__ import annotations

import re
import shutil
import smtplib
import tempfile
from pathlib import Path

import pytest

from whole_house import scanner_scene
from whole_house.amavisd_scene import Amavisd, needs_amavisd
from whole_house.scanner_scene import Clamd, ScannedHouse, Spamd, needs_clamd, needs_spamd, until

CONF = """\
@local_domains_maps = ( [".example.org"] );
@mynetworks = qw( 10.0.0.0/8 );
$sa_tag_level_deflt = 1.0;  $sa_tag2_level_deflt = 4;  $sa_kill_level_deflt = 6.9;  $sa_dsn_cutoff_level = 100;
$sa_spam_subject_tag = '***Spam*** ';  $X_HEADER_LINE = 'scanned';
@spam_lovers_maps = ( ['sales@example.org'] );
$final_virus_destiny = D_DISCARD;  $final_spam_destiny = D_REJECT;  $final_banned_destiny = D_REJECT;
$final_bad_header_destiny = D_PASS;
$virus_quarantine_method = $spam_quarantine_method = $banned_files_quarantine_method = undef;
$bad_header_quarantine_method = undef;
$banned_filename_re = new_RE( qr'.\\.(exe|scr)$'i );
"""
HEAD = "From: Friend <friend@sender.test>\nDate: Sun, 22 Nov 2026 18:00:00 +0000\nMessage-ID: <{0}@sender.test>\nSubject: {0}\n"
PART = "MIME-Version: 1.0\nContent-Type: application/octet-stream; name=a.scr\n\nhello\n"
MAILS = {
    "clean": ("\nhello\n", ["info@example.org"]),
    "elsewhere": ("\ncheap pills\n", ["joe@elsewhere.test"]),
    "tagged": ("\ndear friend\n", ["info@example.org"]),
    "spammy": ("X-Spam-Flag: NO\n\ncheap pills\n", ["info@example.org"]),
    "spam": ("\ncheap pills dear friend\n", ["info@example.org"]),
    "loved": ("\ncheap pills dear friend\n", ["sales@example.org"]),
    "virus": (f"\n{scanner_scene.EICAR}\n", ["info@example.org"]),
    "banned": (PART, ["info@example.org"]),
    "8bit": ("X-Bad: caf\xe9\n\nhello\n", ["info@example.org"]),
    "long": (f"X-Long: {'x' * 1100}\n\nhello\n", ["info@example.org"]),
    "twice": ("To: a\nTo: b\n\nhello\n", ["info@example.org"]),
    "two": ("\nhello\n", ["info@example.org", "sales@example.org"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def both():
    """A house with the scanner, and amavisd, which hands on to the same house."""
    place = Path(tempfile.mkdtemp(prefix="posthouse-amavisd-"))
    place.chmod(0o755)
    spamd, clamd = Spamd(place / "spamd"), Clamd(place / "clamd")
    (place / "house").mkdir()
    house = ScannedHouse(place / "house", spamd.inet, clamd.inet, CONF)
    house.set(
        content_filter="", virtual_mailbox_domains="example.org, elsewhere.test", virtual_mailbox_maps="static:box/"
    )
    amavisd = Amavisd(place / "amavisd", f"{clamd.place}/socket", house.back, CONF)
    daemons = (spamd, clamd, house, amavisd)
    try:
        for daemon in daemons:
            daemon.start()
        yield house, amavisd
    finally:
        for daemon in reversed(daemons):
            daemon.stop()
        shutil.rmtree(place, ignore_errors=True)


def send(port, name):
    """What the scanner at the port answers; it is told of a client by XFORWARD."""
    text, recipients = MAILS[name]
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60) as client:
        client.ehlo()
        client.docmd(
            "XFORWARD",
            "NAME=spike.test ADDR=192.0.2.7 PORT=4321 HELO=spike.test PROTO=ESMTP IDENT=4AB1C2 SOURCE=REMOTE",
        )
        client.docmd("MAIL FROM:<friend@sender.test>")
        for recipient in recipients:
            client.docmd(f"RCPT TO:<{recipient}>")
        code, answer = client.data((HEAD.format(name) + text).encode("latin-1"))
        return code, answer.decode()


def box(house):
    """All mail that has come."""
    folder = house.mail / "box/new"
    return {path.read_text(encoding="latin-1") for path in folder.iterdir()} if folder.exists() else set()


def same(line):
    """Numbers, ids, sizes and times are each one's own."""
    line = re.sub(r"mail_id: [\w-]+", "mail_id: ID", line)
    line = re.sub(r"queued_as: \w+", "queued_as: QID", line)
    line = re.sub(r"size: \d+", "size: N", line)
    return re.sub(r"\d+ ms", "N ms", line)


def fields(mails, name):
    """The scanner's fields in the mail of that name, and its subject; spamd does not tell the scores of single rules."""
    found = set()
    for mail in mails:
        header = mail.partition("\n\n")[0]
        if f"<{name}@sender.test>" in header:
            lines = re.sub(r"\n[ \t]+", " ", header).splitlines()
            ours = [line for line in lines if line.startswith(("X-Spam", "X-Virus", "X-Amavis", "Subject:"))]
            found.add("\n".join(re.sub(r"=[\d.]+(?=[],])|autolearn=\w+", "", line) for line in ours))
    return found


@needs_amavisd
@needs_spamd
@needs_clamd
@pytest.mark.parametrize("name", MAILS)
def test_both_say_and_do_the_same(both, name):
    house, amavisd = both
    told, marked, answers = [], [], []
    for port, verdicts in ((amavisd.port, amavisd.verdicts), (house.scan, house.verdicts)):
        before = len(verdicts())
        mails = box(house)
        answers.append(send(port, name))
        until(lambda verdicts=verdicts, before=before: len(verdicts()) > before)
        told.append([same(line) for line in verdicts()[before:]])
        if told[-1][0].startswith("Passed"):
            until(lambda mails=mails: box(house) - mails)
        marked.append(fields(box(house) - mails, name))
    assert told[1] == told[0]
    assert marked[1] == marked[0]
    code, text = answers[0]
    assert answers[1][0] == code
    shape = re.sub(r"id=[\d-]+|queued as \w+|:\d+", "", text)
    assert re.sub(r"id=[\d-]+|queued as \w+|:\d+", "", answers[1][1]) == shape
