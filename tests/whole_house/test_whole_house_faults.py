"""What goes wrong costs no mail, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import threading
import time

import pytest

from whole_house.house_scene import until

LARGE = ("0123456789" * 7 + "\r\n") * 30_000  # kept in a file of the spool


def spool(house) -> list[str]:
    return os.listdir(house.place / "queue/posthouse/spool")


def is_idle(house) -> bool:
    return house.command("postqueue", "-p").stdout.startswith("Mail queue is empty")


def configure(house, text: str) -> None:
    with open(house.conf / "main.cf", "a") as file:
        file.write(text)


def test_large_mail_that_an_alias_forwards_arrives_whole_and_no_file_is_left(closed_house):
    house = closed_house
    configure(house, "alias_maps = inline:{ {list=info@example.org} }\n")
    house.start()
    house.send("list@mail.example.com", text=LARGE)
    until(lambda: house.maildir("info"))
    assert house.maildir("info")[0].partition("\n\n")[2] == LARGE.replace("\r\n", "\n")
    until(lambda: is_idle(house))
    assert spool(house) == []


def test_large_mail_that_cleanup_changes_leaves_no_file(closed_house):
    house = closed_house
    (house.conf / "checks").write_text("/^change me/ REPLACE changed\n/^reject me/ REJECT\n/^discard me/ DISCARD\n")
    configure(house, f"body_checks = regexp:{house.conf}/checks\nbody_checks_size_limit = 100000000\n")
    house.start()
    house.send("info@example.org", text="change me\r\n" + LARGE)
    with pytest.raises(smtplib.SMTPDataError):
        house.send("info@example.org", text=LARGE + "reject me\r\n")
    house.send("info@example.org", text=LARGE + "discard me\r\n")
    house.send("info@example.org", text="no field\r\n\r\n" + LARGE)
    until(lambda: len(house.maildir("info")) == 2)
    assert any("\n\nchanged\n0123" in text for text in house.maildir("info"))
    until(lambda: is_idle(house))
    assert spool(house) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="postsuper is for the superuser")
def test_large_mail_goes_through_cleanup_again_whole(closed_house):
    house = closed_house
    configure(house, "defer_transports = virtual\n")
    house.start()
    house.send("info@example.org", text=LARGE)
    until(lambda: "status=deferred" in house.log)
    with open(house.conf / "main.cf", "a") as file:
        file.write("defer_transports =\n")
    house.command("postfix", "stop")
    house.command("postsuper", "-r", "ALL")
    house.start()
    until(lambda: house.maildir("info"))
    assert house.maildir("info")[0].partition("\n\n")[2] == LARGE.replace("\r\n", "\n")
    until(lambda: is_idle(house))
    assert spool(house) == []


def test_local_mail_that_is_refused_comes_back_to_its_sender(closed_house):
    house = closed_house
    (house.conf / "checks").write_text("/^Subject: forbidden/ REJECT not that\n")
    configure(house, f"header_checks = regexp:{house.conf}/checks\n")
    house.start()
    words = ("-f", "info@example.org", "sales@example.org")
    assert house.command("sendmail", *words, stdin="Subject: forbidden\n\ntext\n").returncode == 0
    until(lambda: house.maildir("info"))
    (notice,) = house.maildir("info")
    assert "Undelivered Mail Returned to Sender" in notice
    assert "not that" in notice
    assert os.listdir(house.place / "queue/maildrop") == []


def test_what_is_no_mail_in_maildrop_is_moved_aside_and_other_mail_goes_on(house):
    (house.place / "queue/maildrop/AAAA").write_bytes(b"\0garbage" * 1000)
    house.command("sendmail", "info@example.org", stdin="Subject: after it\n\ntext\n")
    until(lambda: house.maildir("info"))
    until(lambda: os.listdir(house.place / "queue/corrupt") == ["AAAA"])
    assert "maildrop/AAAA: uid=" in house.log


def test_kill_9_of_each_process_loses_nothing(closed_house):
    house = closed_house
    configure(house, "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n")
    house.start()
    accepted: list[str] = []
    ending = threading.Event()
    load = threading.Thread(target=keep_sending, args=(house, accepted, ending))
    load.start()
    for _ in range(4):
        time.sleep(0.2)
        for pid in family(house)[1:]:
            os.kill(pid, signal.SIGKILL)
    os.kill(house.master, signal.SIGKILL)
    house.start()
    time.sleep(0.3)
    ending.set()
    load.join()
    until(lambda: not set(accepted) - marks(house), 30)


def family(house) -> list[int]:
    found = [house.master]
    for pid in found:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found


def keep_sending(house, accepted: list[str], ending: threading.Event) -> None:
    number = 0
    while not ending.is_set():
        number += 1
        try:
            house.send("info@example.org", f"number {number}")
        except (OSError, smtplib.SMTPException):
            time.sleep(0.02)
        else:
            accepted.append(f"number {number}")


def marks(house) -> set[str]:
    return {re.search("^Subject: (.*)$", text, re.MULTILINE)[1] for text in house.maildir("info")}


def test_reloads_under_load_refuse_no_connection_and_lose_and_double_nothing(house):
    accepted: list[str] = []
    troubles: list[str] = []
    ending = threading.Event()

    def send() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            try:
                house.send("info@example.org", f"number {number}")
            except (OSError, smtplib.SMTPException) as trouble:
                troubles.append(repr(trouble))
            else:
                accepted.append(f"number {number}")

    load = threading.Thread(target=send)
    load.start()
    for _ in range(5):
        assert house.command("postfix", "reload").returncode == 0
        time.sleep(0.3)
    ending.set()
    load.join()
    assert troubles == []
    until(lambda: len(house.maildir("info")) >= len(accepted))
    until(lambda: is_idle(house))
    assert len(house.maildir("info")) == len(accepted)


def test_a_client_that_goes_away_in_the_middle_leaves_no_file(house):
    client = house.client()
    client.ehlo()
    client.mail("friend@sender.test")
    client.rcpt("info@example.org")
    client.docmd("DATA")
    client.sock.sendall(b"Subject: half\r\n\r\n" + LARGE.encode())
    until(lambda: spool(house))
    client.close()
    until(lambda: spool(house) == [])


def test_a_store_that_is_damaged_is_named_and_the_house_goes_on(closed_house):
    house = closed_house
    house.start()
    house.stop()
    (store,) = (house.place / "queue/posthouse").glob("queue-*.sqlite")
    store.write_bytes(b"no database" * 1000)
    house.start()
    house.send("info@example.org")
    until(lambda: house.maildir("info"))
    assert f"cannot open the queue {store}: file is not a database" in house.log
