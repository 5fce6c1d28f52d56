"""The guide's chain as a whole: restrictions, SPF, greylisting, the filter behind the queue, reinjection, Maildir.

The same mails go through it with the scanner in the filter's place, and with the real amavisd-new. Both read one
amavisd.conf, and both ask real SpamAssassin and ClamAV.
"""

from __future__ import annotations

import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from whole_house.guide_amavisd_scene import Amavisd, needs_amavisd
from whole_house.house_scene import free_port, owner
from whole_house.name_server_scene import HouseWithNames, name_server, needs_names
from whole_house.scanner_scene import EICAR, GTUBE, Clamd, Spamd, needs_clamd, needs_spamd

MAIN_CF = """\
smtpd_authorized_xclient_hosts = 127.0.0.1
posthouse_greylist_delay = 1s
virtual_alias_maps = inline:{{ {{sales@example.org=info@example.org}} }}
smtpd_helo_required = yes
smtpd_recipient_restrictions =
  permit_mynetworks
  reject_invalid_hostname
  reject_non_fqdn_hostname
  reject_non_fqdn_sender
  reject_non_fqdn_recipient
  reject_unknown_sender_domain
  reject_unauth_destination
  reject_spf_fail
  check_greylist
  permit
content_filter=smtp-amavis:[127.0.0.1]:{filter}
posthouse_scan_amavisd_conf = {conf}
posthouse_scan_spamd = {spamd}
posthouse_scan_clamd = {clamd}
"""
# As printed in the guide, with its slip of the pen and all; the ports are the test's.
MASTER_CF = """\
# amavis filtering
smtp-amavis	unix - -	n	-	2	smtp
 -o smtp_date_done_timeout=1200
 -o disable_dns_lookups=yes
127.0.0.1:{back} inet	n	-	n	-	-	smtpd
 -o content_filter=
 -o local_recipient_maps=
 -o relay_recipient_maps=
 -o smtpd_restriction_classes=
 -o smtpd_client_restrictions=
 -o smtpd_helo_restrictions=
 -o smtpd_sender_restrictions=
 -o smtpd_recipient_restrictions=permit_mynetworks,reject
 -o mynetworks=127.0.0.0/8
 -o strict_rfc821_envelopes=yes
"""
RECORDS = (
    "--txt-record=sender.test,v=spf1 ip4:198.51.100.7 -all", "--txt-record=forged.test,v=spf1 -all",
    "--mx-host=sender.test,mail.sender.test", "--mx-host=forged.test,mail.sender.test",
    "--host-record=mail.sender.test,198.51.100.7",
)  # fmt: skip
MAILBOXES = "virtual_mailbox_maps = static:info/\n"


@pytest.fixture
def chain_house():
    place = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
    place.chmod(0o755)
    whole = HouseWithNames(place)
    yield whole
    whole.stop()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def daemons(chain_house):
    """SpamAssassin and ClamAV."""
    spamd, clamd = Spamd(chain_house.place / "spamd"), Clamd(chain_house.place / "clamd")
    try:
        spamd.start()
        clamd.start()
        yield spamd, clamd
    finally:
        spamd.stop()
        clamd.stop()


def build(house, filter_port, back, amavisd, daemons):
    spamd, clamd = daemons
    values = {"filter": filter_port, "conf": amavisd.conf, "spamd": spamd.inet, "clamd": clamd.inet}
    with (house.conf / "main.cf").open("a") as file:
        file.write(MAIN_CF.format(**values) + MAILBOXES)
    with (house.conf / "master.cf").open("a") as file:
        file.write(MASTER_CF.format(back=back))


class Outside:
    """A mail server of sender.test, which comes again when it is told to."""

    def __init__(self, house):
        self.house = house

    def send(self, sender, subject, text="text\r\n", recipient="info@example.org"):
        """The reply to RCPT or to the content, and whether it was greylisted before."""
        begun = time.monotonic()
        greylisted = False
        while True:
            header = f"From: <{sender}>\r\nDate: {formatdate()}\r\nSubject: {subject}\r\n"
            reply = self._once(sender, recipient, f"{header}\r\n{text}")
            if b"Greylisted" not in reply[1]:
                return reply, greylisted
            greylisted = True
            assert time.monotonic() < begun + 60
            time.sleep(0.5)

    def _once(self, sender, recipient, content):
        with self.house.client() as client:
            client.docmd("XCLIENT", "ADDR=198.51.100.7 NAME=mail.sender.test")
            client.ehlo("mail.sender.test")
            client.mail(sender)
            reply = client.rcpt(recipient)
            if reply[0] != 250:
                return reply
            return client.data(content)


def play(house):
    """Clean, greylisted, forged, spammy, spam, virus; what came of them, by subject."""
    outside = Outside(house)
    reply, greylisted = outside.send("friend@sender.test", "clean one")
    assert (reply[0], greylisted) == (250, True)
    reply, greylisted = outside.send("friend@forged.test", "forged")
    assert (reply[0], greylisted) == (550, False)
    assert reply[1].startswith(b"5.7.23")
    with pytest.raises(smtplib.SMTPRecipientsRefused), house.client() as client:
        client.sendmail("friend@sender.test", "somebody@elsewhere.test", "Subject: relay\r\n\r\n")
    for subject, text in (
        ("clean two", "text\r\n"), ("spammy", "cheap pills\r\n"), ("spam", GTUBE + "\r\n"), ("virus", EICAR + "\r\n"),
    ):  # fmt: skip
        reply, _ = outside.send("friend@sender.test", subject, text, "sales@example.org")
        assert reply[0] == 250
    settle(house)


def settle(house):
    """Until nothing is queued; what was tried in vain is told."""
    deadline = time.monotonic() + 60
    while not _is_empty(house):
        assert time.monotonic() < deadline, [line for line in house.log.splitlines() if "status=deferred" in line]
        time.sleep(0.2)


def _is_empty(house):
    return "Mail queue is empty" in house.command("postqueue", "-p").stdout


def _by_subject(house):
    found = {}
    for message in house.maildir("info"):
        header = message.partition("\n\n")[0]
        subject = next(line for line in header.split("\n") if line.startswith("Subject: "))
        assert subject[9:] not in found, "a message twice"
        found[subject[9:]] = message
    return found


def look_at(house, amavisd, log):
    found = _by_subject(house)
    notices = [subject for subject in found if "VIRUS" in subject.upper() or "INFECTED" in subject.upper()]
    assert len(notices) == 1, found.keys()
    assert set(found) - set(notices) == {"clean one", "clean two", "***SPAM*** spammy"}
    assert "\nX-Spam-Flag: YES\n" in found["***SPAM*** spammy"]
    assert "\nX-Spam-Flag: YES\n" not in found["clean one"]
    assert "\nReceived-SPF: Pass" in found["clean one"]
    assert "\nX-Virus-Scanned: " in found["clean one"]
    assert "\nX-Original-To: info@example.org\n" in found["clean two"]
    assert log().count("Passed CLEAN") == 2
    assert log().count("Passed SPAMMY") == 1
    assert log().count("Blocked SPAM ") == 1
    assert log().count("Blocked INFECTED") == 1
    assert len([path for path in amavisd.quarantine.rglob("*") if path.is_file()]) == 2
    assert "status=deferred" not in house.log
    assert "status=bounced" not in house.log


@needs_names
@needs_spamd
@needs_clamd
@needs_amavisd
def test_the_chain_with_the_scanner(chain_house, daemons):
    filter_port, back = free_port(), free_port()
    amavisd = Amavisd(chain_house.place / "amavisd", back, daemons)  # for its configuration; it is not started
    shutil.chown(amavisd.quarantine, owner().pw_uid)
    build(chain_house, filter_port, back, amavisd, daemons)
    with (chain_house.conf / "master.cf").open("a") as file:
        file.write(f"127.0.0.1:{filter_port} inet n - n - 2 scan\n")
    with name_server(chain_house, *RECORDS):
        chain_house.start()
        play(chain_house)
    look_at(chain_house, amavisd, lambda: chain_house.log)


@needs_names
@needs_spamd
@needs_clamd
@needs_amavisd
def test_the_chain_with_the_real_amavisd(chain_house, daemons):
    back = free_port()
    amavisd = Amavisd(chain_house.place / "amavisd", back, daemons)
    build(chain_house, amavisd.port, back, amavisd, daemons)
    with name_server(chain_house, *RECORDS):
        amavisd.start()
        try:
            chain_house.start()
            play(chain_house)
        finally:
            amavisd.stop()
    look_at(chain_house, amavisd, lambda: amavisd.log)


@needs_amavisd
def test_the_scanner_takes_mail_several_times_as_fast_as_amavisd():
    bench = Path(__file__).parents[2] / "bench/scanner_throughput.py"
    words = ("--messages", "60", "--connections", "2", "--rounds", "1", "--least", "3")
    done = subprocess.run(
        [sys.executable, str(bench), *words], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
