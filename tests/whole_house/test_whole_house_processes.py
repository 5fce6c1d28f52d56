"""Start, stop, reload and death of the processes."""

from __future__ import annotations

import os
import signal

import pytest

from whole_house.house_scene import until


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_the_commands_say_and_answer(closed_house):
    house = closed_house
    assert house.command("postfix", "status").returncode == 1
    assert house.command("postfix", "stop").returncode == 1
    assert house.command("postfix", "check").returncode == 0
    house.start()
    again = house.command("postfix", "start")
    assert (again.returncode, "already running" in again.stderr) == (1, True)
    assert house.command("postfix", "status").returncode == 0
    assert house.command("postfix", "stop").returncode == 0
    assert house.command("postfix", "nonsense").returncode == 1
    assert "unknown command: 'nonsense'" in house.log


def test_nothing_is_left_after_stop(house):
    family = [house.master, *children(house.master)]
    house.stop()
    assert all(ended(pid) for pid in family)


def test_nothing_is_left_when_master_is_killed_and_a_start_follows_at_once(house):
    family = children(house.master)
    os.kill(house.master, signal.SIGKILL)
    house.start()
    until(lambda: all(ended(pid) for pid in family))
    house.send("info@example.org")
    until(lambda: house.maildir("info"))


def test_a_dead_worker_is_replaced(house):
    for pid in children(house.master):
        os.kill(pid, signal.SIGKILL)
    until(lambda: house.log.count("killed by signal 9") == 2)
    until(lambda: len(children(house.master)) == 2)
    until(lambda: accepts(house))
    until(lambda: house.maildir("info"))


def accepts(house) -> bool:
    try:
        house.send("info@example.org")
    except OSError:
        return False
    return True


def test_a_session_goes_on_during_reload_and_its_mail_is_delivered(house):
    with house.client() as client:
        client.ehlo()
        client.mail("friend@sender.test")
        assert house.command("postfix", "reload").returncode == 0
        until(lambda: "reload -- version" in house.log)
        house.send("info@example.org", "new generation")
        until(lambda: len(house.maildir("info")) == 1)
        client.rcpt("info@example.org")
        assert client.data("Subject: old generation\r\n\r\n")[0] == 250
        until(lambda: len(house.maildir("info")) == 2)


def test_a_broken_configuration_is_refused_and_the_old_one_stays(house):
    main = house.conf / "main.cf"
    good = main.read_text()
    main.write_text(good + "message_size_limit = much\n")
    assert house.command("postfix", "reload").returncode == 1
    os.kill(house.master, signal.SIGHUP)
    until(lambda: "reload refused" in house.log)
    house.send("info@example.org")
    until(lambda: house.maildir("info"))


def test_an_open_relay_does_not_take_the_place_of_a_closed_one(house):
    main = house.conf / "main.cf"
    master = house.conf / "master.cf"
    main.write_text(main.read_text() + "smtpd_relay_restrictions = permit_mynetworks, permit\n")
    master.write_text(master.read_text() + "192.0.2.1:2525 inet n - n - - smtpd\n")
    refused = house.command("postfix", "reload")
    assert refused.returncode == 1
    assert "open relay: service 192.0.2.1:2525 lets strangers send mail to anybody" in refused.stderr
    house.send("info@example.org")
    until(lambda: house.maildir("info"))


def test_reload_changes_what_the_next_session_sees(house):
    with open(house.conf / "main.cf", "a") as file:
        file.write("smtpd_banner = $myhostname changed\n")
    house.command("postfix", "reload")
    until(lambda: banner(house).endswith("changed"))


def test_a_reload_asked_for_during_a_reload_counts(house):
    main = house.conf / "main.cf"
    good = main.read_text()
    for number in range(6):
        main.write_text(good + f"smtpd_banner = $myhostname number {number}\n")
        os.kill(house.master, signal.SIGHUP)
    until(lambda: banner(house).endswith("number 5"))


@pytest.mark.parametrize("name", ["main.cf", "master.cf"])
def test_a_configuration_that_is_gone_at_reload_leaves_the_old_one_running(house, name):
    (house.conf / name).rename(house.conf / "elsewhere")
    os.kill(house.master, signal.SIGHUP)
    until(lambda: "reload refused" in house.log)
    house.send("info@example.org")
    until(lambda: house.maildir("info"))
    (house.conf / "elsewhere").rename(house.conf / name)
    os.kill(house.master, signal.SIGHUP)
    until(lambda: "reload -- version" in house.log)


def banner(house) -> str:
    import smtplib

    with smtplib.SMTP(timeout=10) as client:
        code, text = client.connect("127.0.0.1", house.port)
        return f"{code} {text.decode()}"


def test_the_log_goes_on_in_a_new_file_after_rotation(house):
    with open(house.conf / "main.cf", "a") as file:
        file.write("maillog_file_compressor = gzip\n")
    assert house.command("postfix", "logrotate").returncode == 0
    house.send("info@example.org")
    until(lambda: "status=sent" in house.log)
    assert len(list(house.place.glob("maillog.*.gz"))) == 1
