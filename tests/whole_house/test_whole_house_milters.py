"""Mail passes real milters."""

from __future__ import annotations

import contextlib
import smtplib

import pytest

from whole_house.house_scene import until
from whole_house.milter_scene import (
    RSPAMD_PATTERN,
    ClamavMilter,
    Rspamd,
    needs_clamav_milter,
    needs_rspamd,
)
from whole_house.scanner_scene import EICAR, EICAR_NAME, Clamd, needs_clamd


@contextlib.contextmanager
def running(*daemons):
    try:
        for daemon in daemons:
            daemon.start()
        yield
    finally:
        for daemon in daemons:
            daemon.stop()


def configure(house, text):
    with (house.conf / "main.cf").open("a") as file:
        file.write(text)


def refusal(house, subject, text):
    with pytest.raises(smtplib.SMTPDataError) as refused:
        house.send("info@example.org", subject, text + "\r\n")
    return refused.value.smtp_code, refused.value.smtp_error


@needs_clamd
@needs_clamav_milter
def test_clamav_milter_refuses_viruses_and_marks_clean_mail(closed_house):
    house = closed_house
    clamd = Clamd(house.place / "clamd")
    milter = ClamavMilter(house.place / "milter", clamd, "Reject")
    configure(house, f"smtpd_milters = inet:127.0.0.1:{milter.port}\nnon_smtpd_milters = $smtpd_milters\n")
    with running(clamd, milter):
        house.start()
        house.send("info@example.org", "clean", "text\r\n" * 20_000)
        assert refusal(house, "virus", EICAR) == (550, f"5.7.1 Virus found: {EICAR_NAME}".encode())
        house.command("sendmail", "-f", "sales@example.org", "info@example.org", stdin=f"Subject: v\n\n{EICAR}\n")
        until(lambda: house.maildir("info") and (house.mail / "sales").exists())
    (clean,) = house.maildir("info")
    assert "\nX-Virus-Status: Clean\n" in clean
    assert clean.count("text\n") == 20_000
    bounce = (house.mail / "sales").read_text()
    assert f"Virus found: {EICAR_NAME}" in bounce
    until(lambda: house.log.count("milter-reject: END-OF-MESSAGE") == 2)


@needs_clamd
@needs_clamav_milter
def test_clamav_milter_quarantines_and_what_it_cannot_scan_waits(closed_house):
    house = closed_house
    clamd = Clamd(house.place / "clamd")
    milter = ClamavMilter(house.place / "milter", clamd, "Quarantine")
    configure(house, f"smtpd_milters = inet:127.0.0.1:{milter.port}\n")
    with running(clamd, milter):
        house.start()
        house.send("info@example.org", "virus", EICAR + "\r\n")
        until(lambda: "milter-hold: END-OF-MESSAGE" in house.log)
        clamd.stop()
        code, _ = refusal(house, "clean, but who knows", "text")
        assert code == 451
    assert house.maildir("info") == []
    assert "hold" in house.command("postqueue", "-j").stdout


@needs_rspamd
def test_rspamd_refuses_marks_and_changes_subjects(closed_house):
    house = closed_house
    rspamd = Rspamd(house.place / "rspamd")
    configure(house, f"smtpd_milters = inet:127.0.0.1:{rspamd.port}\nmilter_mail_macros = i {{auth_authen}}\n")
    with running(rspamd):
        house.start()
        house.send("info@example.org", "ham", "text\r\n")
        assert refusal(house, "spam", f"X{RSPAMD_PATTERN}")[0] == 554
        house.send("info@example.org", "doubtful", f"Y{RSPAMD_PATTERN}\r\n")
        house.send("info@example.org", "suspicious", f"Z{RSPAMD_PATTERN}\r\n")
        until(lambda: len(house.maildir("info")) == 3)
    messages = {message.partition("Subject: ")[2].partition("\n")[0]: message for message in house.maildir("info")}
    assert set(messages) == {"ham", "doubtful", "*** SPAM *** suspicious"}
    assert "\nX-Spam: Yes\n" in messages["doubtful"]
    assert "\nX-Spam: " not in messages["ham"]
