"""The scanner with the real spamd and clamd behind it, behind the queue, before it, and as a milter."""

from __future__ import annotations

import base64
import io
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from posthouse.protocols import clamd, spamd
from whole_house import scanner_scene
from whole_house.postfix_mailboxes_scene import Postfix, needs_postfix
from whole_house.scanner_scene import Clamd, ScannedHouse, Spamd, needs_clamd, needs_spamd, until

HEAD = "From: Friend <friend@sender.test>\r\nDate: Sun, 22 Nov 2026 18:00:00 +0000\r\nMessage-ID: <{0}@sender.test>\r\n"
LOGWATCH = "/usr/share/logwatch/scripts/services/amavis"
CONF = """\
use strict;
@local_domains_maps = ( [".example.org"] );
$sa_tag_level_deflt = 1.0;  $sa_tag2_level_deflt = 4;  $sa_kill_level_deflt = 6.9;
$sa_dsn_cutoff_level = 100;
$sa_spam_subject_tag = '***Spam*** ';
$final_virus_destiny = D_DISCARD;  $final_spam_destiny = D_BOUNCE;  $final_banned_destiny = D_REJECT;
$banned_filename_re = new_RE( qr'.\\.(exe|scr)$'i );
1;
"""


@pytest.fixture(scope="module")
def daemons():
    """The real spamd and clamd, which all tests here share."""
    place = Path(tempfile.mkdtemp(prefix="posthouse-scanner-"))
    place.chmod(0o755)
    both = Spamd(place / "spamd"), Clamd(place / "clamd")
    try:
        for daemon in both:
            daemon.start()
        yield both
    finally:
        for daemon in both:
            daemon.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def make():
    """make(conf) gives a house with a scanner that has not been started; all are stopped at the end."""
    made = []

    def build(*backends, conf=CONF, **options):
        place = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
        place.chmod(0o755)
        house = ScannedHouse(place, *(backend and backend.inet for backend in backends), conf=conf, **options)
        made.append(house)
        return house

    yield build
    for house in made:
        house.stop()
        shutil.rmtree(house.place, ignore_errors=True)


def ask(port, *said):
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        for piece in said:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def send(house, subject, text, recipients=("info@example.org",), port=0):
    with smtplib.SMTP("127.0.0.1", port or house.port, local_hostname="client.example.net", timeout=60) as client:
        message = f"{HEAD.format(subject)}Subject: {subject}\r\n{text}"
        return client.sendmail("friend@sender.test", recipients, message.encode())


def attachment(name, data=b"hello"):
    return (
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n"
        f'Content-Type: application/octet-stream; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        f"{base64.encodebytes(data).decode()}\r\n--b--\r\n"
    )


@needs_spamd
@needs_clamd
class TestWithBoth:
    def test_the_real_spamd_calls_gtube_spam(self, daemons):
        text = f"From: a@example.com\nSubject: x\n\n{scanner_scene.GTUBE}\n".encode()
        answer = spamd.answer(ask(daemons[0].port, spamd.request(len(text)), text))
        assert (answer.is_spam, answer.score, answer.tests) == (True, 1000.0, ("GTUBE",))
        spamd.pong(ask(daemons[0].port, spamd.PING))

    def test_the_real_clamd_knows_eicar(self, daemons):
        text = f"From: a@example.com\nSubject: x\n\n{scanner_scene.EICAR}\n".encode()
        answer = ask(daemons[1].port, clamd.COMMAND, clamd.chunk(text), clamd.END)
        assert clamd.answer(answer) == scanner_scene.EICAR_NAME
        clamd.pong(ask(daemons[1].port, clamd.PING))

    def test_behind_the_queue_each_kind_of_mail_has_its_fate(self, make, daemons):
        house = make(*daemons)
        house.start()
        send(house, "clean", "\r\nhello\r\n")
        send(house, "spammy", "\r\ncheap pills\r\n")
        send(house, "spam", "\r\ncheap pills, dear friend\r\n")
        send(house, "virus", f"\r\n{scanner_scene.EICAR}\r\n")
        send(house, "banned", attachment("holiday.jpg.scr"))
        until(lambda: len(house.verdicts()) >= 5)
        until(lambda: len(house.maildir("info")) == 2)
        kinds = sorted(line.split(" {")[0] for line in house.verdicts())
        assert kinds == [
            "Blocked BANNED (application/octet-stream,.asc,holiday.jpg.scr)",
            f"Blocked INFECTED ({scanner_scene.EICAR_NAME})", "Blocked SPAM", "Passed CLEAN", "Passed SPAMMY",
        ]  # fmt: skip
        spammy = next(mail for mail in house.maildir("info") if "spammy" in mail)
        assert "X-Spam-Flag: YES\nX-Spam-Score: 5\nX-Spam-Level: *****\nX-Spam-Status: Yes, score=5" in spammy
        assert "tests=[TRIAL_CHEAP]" in spammy
        assert "Subject: ***Spam*** spammy" in spammy
        until(lambda: house.log.count("sender non-delivery notification") == 2)  # of the spam, and of the banned name
        assert "554 5.7.0 Reject, id=" in house.log

    def test_recipients_are_split_by_their_own_rules(self, make, daemons):
        house = make(
            *daemons,
            conf="@local_domains_maps = (['.example.org']);\n$sa_tag2_level_deflt = 4; $sa_kill_level_deflt = 6.9;\n"
            "$final_spam_destiny = D_DISCARD;\n@spam_lovers_maps = (['sales@example.org']);\n$sa_spam_subject_tag = 'S: ';\n",
        )
        house.start()
        send(house, "split", "\r\ncheap pills, dear friend\r\n", ("info@example.org", "sales@example.org"))
        until((house.mail / "sales").exists)
        assert "Subject: S: split" in (house.mail / "sales").read_text()
        assert house.maildir("info") == []
        until(lambda: len(house.verdicts()) == 2)
        passed, blocked = house.verdicts()
        assert passed.startswith("Passed SPAM {DiscardedInbound,RelayedTaggedInbound}")
        assert "<friend@sender.test> -> <sales@example.org>" in passed
        assert blocked.startswith("Blocked SPAM {DiscardedInbound,RelayedTaggedInbound}")
        assert "<friend@sender.test> -> <info@example.org>" in blocked

    def test_each_recipient_has_spamassassin_preferences_of_its_own(self, make, daemons):
        daemons[0].prefs("sales@example.org", "score TRIAL_CHEAP 50\n")
        house = make(*daemons, conf="$sa_kill_level_deflt = 40; $final_spam_destiny = D_DISCARD;\n")
        house.set(posthouse_scan_spamd_user="$recipient")
        house.start()
        send(house, "prefs", "\r\ncheap pills\r\n", ("info@example.org", "sales@example.org"))
        until(lambda: house.maildir("info"))
        until(lambda: len(house.verdicts()) == 2)
        assert sorted(line.split(" {")[0] for line in house.verdicts()) == ["Blocked SPAM", "Passed CLEAN"]
        assert "X-Spam-Status: No, score=5" in house.maildir("info")[0]

    def test_over_lmtp_each_recipient_has_an_answer_of_its_own(self, make, daemons):
        house = make(
            *daemons, protocol="lmtp",
            conf="$final_spam_destiny = D_REJECT;\n@spam_lovers_maps = (['sales@example.org']);\n",
        )  # fmt: skip
        house.start()
        send(house, "lmtp", "\r\ncheap pills, dear friend\r\n", ("info@example.org", "sales@example.org"))
        until((house.mail / "sales").exists)
        until(lambda: "sender non-delivery notification" in house.log)
        assert "to=<sales@example.org>" in house.log
        lines = [line for line in house.log.splitlines() if "/lmtp[" in line and "to=<" in line]
        assert sorted(("status=sent" in line, "status=bounced" in line) for line in lines) == [
            (False, True),
            (True, False),
        ]
        assert "554 5.7.0 Reject, id=" in next(line for line in lines if "bounced" in line)

    def test_before_the_queue_the_client_hears_what_the_scanner_says(self, make, daemons):
        house = make(*daemons, conf="$final_spam_destiny = D_REJECT; $final_virus_destiny = D_REJECT;\n")
        house.set(content_filter="", smtpd_proxy_filter=f"127.0.0.1:{house.scan}")
        house.start()
        send(house, "clean", "\r\nhello\r\n", ("info@example.org", "sales@example.org"))
        with pytest.raises(smtplib.SMTPDataError) as virus:
            send(house, "virus", f"\r\n{scanner_scene.EICAR}\r\n")
        assert (virus.value.smtp_code, b"INFECTED: " + scanner_scene.EICAR_NAME.encode() in virus.value.smtp_error) == (
            554, True,
        )  # fmt: skip
        with pytest.raises(smtplib.SMTPDataError, match="spam"):
            send(house, "spam", f"\r\n{scanner_scene.GTUBE}\r\n")
        until(lambda: house.maildir("info"))
        until(lambda: len(house.verdicts()) == 3)
        assert "from MTA(smtp:[127.0.0.1]:" in next(line for line in house.log.splitlines() if "proxy-accept" in line)
        assert "[127.0.0.1]:" in house.verdicts()[0]

    def test_what_was_stopped_is_kept_and_an_administrator_is_told(self, make, daemons):
        house = make(*daemons)
        (house.place / "amavisd.conf").write_text(
            f"$QUARANTINEDIR = '{house.mail}/quarantine';\n$virus_admin = 'sales@example.org';\n"
        )
        house.start()
        send(house, "virus", f"\r\n{scanner_scene.EICAR}\r\n")
        until((house.mail / "sales").exists)
        kept = house.maildir("quarantine")[0]
        assert kept.startswith("Return-Path: <friend@sender.test>\n")
        assert "X-Envelope-To-Blocked: <info@example.org>\nX-Quarantine-ID: <" in kept
        assert f"X-Amavis-Alert: INFECTED, message contains virus: {scanner_scene.EICAR_NAME}" in kept.replace(
            "\n ", " "
        )
        assert scanner_scene.EICAR in kept
        notice = (house.mail / "sales").read_text()
        assert f"Subject: VIRUS ({scanner_scene.EICAR_NAME}) in mail FROM [127.0.0.1]" in notice
        until(house.verdicts)
        assert "{DiscardedInbound,Quarantined}" in house.verdicts()[0]
        assert ", quarantine: virus-" in house.verdicts()[0]

    def test_a_name_inside_an_archive_is_found_and_a_bomb_is_said_to_be_unchecked(self, make, daemons):
        house = make(*daemons)
        house.start()
        archive, bomb = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a/b/run.exe", b"MZ")
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("zeros", b"\0" * 300_000_000)
        send(house, "archive", attachment("a.zip", archive.getvalue()))
        until(house.verdicts)
        assert "Blocked BANNED (application/octet-stream,.zip,a.zip | .exe,.exe-ms,a/b/run.exe)" in house.verdicts()[0]
        send(house, "bomb", attachment("b.zip", bomb.getvalue()))
        until(lambda: house.maildir("info"))
        until(lambda: len(house.verdicts()) == 2)
        assert house.verdicts()[1].startswith("Passed UNCHECKED {RelayedInbound}")
        assert "X-Amavis-Alert: UNCHECKED contents, archives that expand to too much" in house.maildir("info")[0]

    def test_a_large_message_is_shown_to_spamd_in_part_and_says_so(self, make, daemons):
        house = make(*daemons, conf="$sa_mail_body_size_limit = 64*1024;\n")
        house.set(posthouse_scan_virus_size_limit="1000000")
        house.start()
        send(house, "large", "\r\n" + "x" * 70 + "\r\n" + ("many words " * 6 + "\r\n") * 30_000 + "cheap pills\r\n")
        until(lambda: house.maildir("info"), 60)
        mail = house.maildir("info")[0]
        header = mail.partition("\n\n")[0]
        assert "X-Posthouse-Scan-Note: the first 65536 of " in header
        assert "bytes are too many to be scanned for viruses" in header.replace("\n ", " ")
        until(house.verdicts)
        assert house.verdicts()[0].startswith("Passed UNCHECKED")
        assert ", Hits: 0, " in house.verdicts()[0]
        assert mail.endswith("cheap pills\n")
        until(lambda: list((house.place / "queue/posthouse/spool").iterdir()) == [])

    def test_while_clamd_hangs_mail_waits_and_then_it_comes(self, make, daemons):
        house = make(*daemons)
        house.set(posthouse_scan_timeout="2s", minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="1s",
                  posthouse_scan_rest_time="1s")  # fmt: skip
        house.start()
        daemons[1].freeze()
        try:
            send(house, "waits", "\r\nhello\r\n")
            until(lambda: "not scanned for viruses: clamd" in house.log)
            assert "no answer in time" in house.log
            assert house.maildir("info") == []
        finally:
            daemons[1].thaw()
        until(lambda: house.maildir("info"), 60)
        assert len(house.maildir("info")) == 1


NESTED = "".join(f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n" for n in range(1000))
BAD_INPUT = {
    "ten thousand parts": "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\nx\r\n" * 10_000,
    "a thousand levels": f"Content-Type: multipart/mixed; boundary=b0\r\n\r\n{NESTED}",
    "a megabyte of header": "".join(f"X-{n}: {'y' * 900}\r\n" for n in range(1100)) + "\r\nhello\r\n",
    "a header line of a megabyte": f"X-Long: {'z' * 1_000_000}\r\n\r\nhello\r\n",
    "broken base64": 'Content-Type: a/b; name="=?x?B?!!!?="\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%=A=\r\n=\r\n',
    "broken names": "Content-Type: a/b; name*0*=utf-9''%E9%; name*1=\r\n\t\"; name*77777777=x\r\n\r\nx\r\n",
    "no body": "\r\n",
}


@needs_spamd
@needs_clamd
def test_whatever_comes_each_mail_arrives_and_what_was_not_seen_is_said(make, daemons):
    house = make(*daemons)
    house.start()
    for name, text in BAD_INPUT.items():
        send(house, name.replace(" ", "-"), text)
    until(lambda: len(house.maildir("info")) == len(BAD_INPUT), 60)
    until(lambda: len(house.verdicts()) == len(BAD_INPUT))
    fates = {re.sub(r".*Message-ID: <([^@]+)@.*", r"\1", line): line.split(" {")[0] for line in house.verdicts()}
    assert fates["ten-thousand-parts"] == fates["a-thousand-levels"] == "Passed UNCHECKED"
    assert all(fate.startswith("Passed") for fate in fates.values())
    assert "Traceback" not in house.log


MILTER_CONF = """\
$sa_tag_level_deflt = 1; $sa_tag2_level_deflt = 4; $sa_kill_level_deflt = 6.9; $sa_spam_subject_tag = '[SPAM] ';
$final_spam_destiny = D_REJECT; $final_virus_destiny = D_DISCARD; @local_domains_maps = (['example.org']);
@spam_lovers_maps = (['sales@example.org']);
"""


def as_milter(house):
    """The scanner speaks the milter protocol, and the house's own smtpd asks it."""
    text = (house.conf / "master.cf").read_text()
    line = f"127.0.0.1:{house.scan} inet n - n - 2 scan\n"
    (house.conf / "master.cf").write_text(text.replace(line, f"{line}  -o posthouse_scan_protocol=milter\n"))
    house.set(content_filter="", smtpd_milters=f"inet:127.0.0.1:{house.scan}")


@needs_spamd
@needs_clamd
class TestAsMilter:
    def test_our_own_smtpd_asks_it(self, make, daemons):
        house = make(*daemons, conf=MILTER_CONF)
        as_milter(house)
        house.start()
        self.send_each_kind(house.port)
        until(lambda: len(house.maildir("info")) == 2)
        self.look_at(house.maildir("info"))
        until(lambda: len(house.verdicts()) == 4)
        words = sorted(line.split(",")[0] for line in house.verdicts())
        assert words == [
            f"Blocked INFECTED ({scanner_scene.EICAR_NAME}) {{DiscardedInbound}}", "Blocked SPAM {RejectedInbound}",
            "Passed CLEAN {RelayedInbound}", "Passed SPAMMY {RelayedTaggedInbound}",
        ]  # fmt: skip

    def test_after_a_reload_it_is_there_with_the_new_rules(self, make, daemons):
        house = make(*daemons, conf=MILTER_CONF)
        as_milter(house)
        house.start()
        send(house, "before", "\r\ncheap pills\r\n")
        (house.place / "amavisd.conf").write_text("$final_spam_destiny = D_REJECT; $sa_kill_level_deflt = 4;")
        assert house.command("postfix", "reload").returncode == 0

        def is_refused():
            try:
                send(house, "after", "\r\ncheap pills\r\n")
            except smtplib.SMTPDataError:
                return True
            return False

        until(is_refused)
        until(lambda: house.maildir("info"))

    @needs_postfix
    def test_the_real_postfix_asks_it(self, make, daemons):
        house = make(*daemons, conf=MILTER_CONF)
        as_milter(house)
        house.start()
        other = Postfix(house.place / "other", f"smtpd_milters = inet:127.0.0.1:{house.scan}\n")
        other.start()
        try:
            self.send_each_kind(other.port)
            until(lambda: len(other.mails()) == 2)
            self.look_at(other.mails())
            assert "milter-discard: END-OF-MESSAGE" in other.log
            assert "milter-reject: END-OF-MESSAGE" in other.log
        finally:
            other.stop()

    def test_a_recipient_for_whom_it_is_spam_is_taken_out(self, make, daemons):
        house = make(*daemons, conf=MILTER_CONF)
        as_milter(house)
        house.start()
        send(house, "two", "\r\ncheap pills, dear friend\r\n", ("info@example.org", "sales@example.org"))
        until((house.mail / "sales").exists)
        assert "Subject: [SPAM] two" in (house.mail / "sales").read_text()
        assert house.maildir("info") == []

    @staticmethod
    def send_each_kind(port):
        send(None, "clean", "\r\nhello\r\n", port=port)
        send(None, "spammy", "X-Spam-Flag: NO\r\nX-Spam-Flag: FORGED\r\n\r\ncheap pills\r\n", port=port)
        send(None, "virus", f"\r\n{scanner_scene.EICAR}\r\n", port=port)
        with pytest.raises(smtplib.SMTPDataError, match=r"5.7.0 Reject, id=.* - spam"):
            send(None, "spam", f"\r\n{scanner_scene.GTUBE}\r\n", port=port)

    @staticmethod
    def look_at(mails):
        spammy = next(mail for mail in mails if "spammy" in mail)
        assert "X-Spam-Flag: YES\nX-Spam-Score: 5\nX-Spam-Level: *****\nX-Spam-Status: Yes, score=5" in spammy
        assert "FORGED" not in spammy
        assert "X-Spam-Flag: NO" not in spammy
        assert "\nSubject: [SPAM] spammy\n" in spammy
        assert "\nX-Virus-Scanned: Posthouse at example.com\n" in spammy


@needs_spamd
@needs_clamd
@pytest.mark.skipif(not Path(LOGWATCH).exists(), reason="Debian's package logwatch is not installed")
def test_amavis_logwatch_counts_our_lines(make, daemons):
    house = make(*daemons, conf=f"{CONF}$QUARANTINEDIR = '/nowhere'; $virus_quarantine_to = '';\n"
                 "$spam_quarantine_to = undef; $banned_quarantine_to = undef; $bad_header_quarantine_to = '';\n")  # fmt: skip
    house.start()
    send(house, "clean", "\r\nhello\r\n")
    send(house, "spammy", "\r\ncheap pills\r\n")
    send(house, "spam", "\r\ncheap pills, dear friend\r\n")
    send(house, "virus", f"\r\n{scanner_scene.EICAR}\r\n")
    send(house, "banned", attachment("holiday.jpg.scr"))
    send(house, "bad", "Subject: twice\r\n\r\nhello\r\n")
    until(lambda: len(house.verdicts()) >= 6)
    lines = "".join(f"{line.partition(']: ')[2]}\n" for line in house.log.splitlines() if "/amavis[" in line)
    done = subprocess.run(
        ["perl", LOGWATCH, "--nosummary", "-f", "/usr/share/logwatch/default.conf/services/amavis.conf"],
        input=lines, capture_output=True, text=True, timeout=60, check=False,
        env={"PERL5LIB": "/usr/share/logwatch/lib", "LOGWATCH_DETAIL_LEVEL": "10"},
    )  # fmt: skip
    told = {" ".join(line.split()).rstrip(" -") for line in done.stdout.splitlines()}
    assert done.stderr == ""
    assert "Unmatched" not in done.stdout
    for line in (
        "1 Malware blocked", "1 Banned name blocked", "1 Spam blocked", "1 Spammy passed", "1 Bad header passed",
        "1 Clean passed",
    ):  # fmt: skip
        assert line in told, done.stdout
