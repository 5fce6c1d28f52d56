#!/usr/bin/env python3
"""A full disk, for the queue and for the mailboxes: what is accepted is kept, what cannot be kept is refused (452), and
service goes on by itself when there is room. Needs root, for small file systems in a mount namespace of its own.

    bench/faults/full_disk.py
"""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from whole_house.house_scene import WholeHouse, until

MAIN_CF = """
message_size_limit = 0
notify_classes =
mailbox_size_limit = 0
virtual_mailbox_limit = 0
defer_transports = virtual
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""


def mount(place: Path, size: str) -> None:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that takes what is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def try_to_send(house: WholeHouse, mark: str, size: int = 20_000) -> int:
    """The code of the answer."""
    try:
        house.send("info@example.org", mark, ("x" * 70 + "\r\n") * (size // 72))
    except smtplib.SMTPResponseException as answer:
        return answer.smtp_code
    except smtplib.SMTPRecipientsRefused as answer:
        return max(code for code, _ in answer.recipients.values())
    return 250


def queued(house: WholeHouse) -> int:
    return house.command("postqueue", "-j").stdout.count("\n")


def delivered(house: WholeHouse) -> list[str]:
    return sorted(text.partition("Subject: ")[2].partition("\n")[0] for text in house.maildir("info"))


def say(text: str) -> None:
    print(text, flush=True)


def full_queue(place: Path) -> None:
    mount(place / "queue", "6m")
    house = WholeHouse(place, MAIN_CF)
    house.start()
    answers: dict[str, int] = {}
    for number in range(400):
        answers[f"small {number}"] = try_to_send(house, f"small {number}")
    for number in range(3):
        answers[f"large {number}"] = try_to_send(house, f"large {number}", 8_000_000)
    accepted = sorted(mark for mark, code in answers.items() if code == 250)
    codes = {code: list(answers.values()).count(code) for code in set(answers.values())}
    say(f"queue of 6 MB: answers {codes}; accepted {len(accepted)}, in the queue {queued(house)}")
    assert set(codes) <= {250, 451, 452}, codes
    assert queued(house) == len(accepted)
    fill(place / "queue")
    again = {try_to_send(house, f"too late {number}") for number in range(20)}
    say(f"not a byte left: answers {sorted(again)}; in the queue {queued(house)}")
    assert again <= {451, 452}
    restart_while_full(house, len(accepted))
    deliver_while_full(house, place, accepted)


def restart_while_full(house: WholeHouse, count: int) -> None:
    house.stop()
    before = time.monotonic()
    house.start()
    say(f"restart on the full disk took {time.monotonic() - before:.1f} s; in the queue {queued(house)}")
    assert queued(house) == count


def deliver_while_full(house: WholeHouse, place: Path, accepted: list[str]) -> None:
    with (house.conf / "main.cf").open("a") as file:
        file.write("defer_transports =\n")
    house.command("postfix", "reload")
    until(lambda: len(set(delivered(house))) == len(accepted), 30)
    time.sleep(3)
    say(f"delivered {len(delivered(house))} of {len(accepted)} on the full disk; in the queue {queued(house)}")
    (place / "queue/ballast").unlink(missing_ok=True)
    until(lambda: try_to_send(house, "room again") == 250, 20)
    until(lambda: queued(house) == 0, 40)
    found = [mark for mark in delivered(house) if mark != "room again"]
    say(f"room again: delivered {len(found)}, twice {len(found) - len(set(found))}; mail is accepted")
    assert sorted(set(found)) == accepted
    assert len(found) == len(accepted)
    house.stop()
    left = os.listdir(place / "queue/posthouse/spool")
    assert left == [], left


def full_mailbox(place: Path) -> None:
    mount(place / "small", "1m")
    house = WholeHouse(place, MAIN_CF.replace("defer_transports = virtual", f"virtual_mailbox_base = {place}/small"))
    house.mail = place / "small"
    shutil.chown(house.mail, "nobody")
    house.start()
    answers = [try_to_send(house, f"mail {number}") for number in range(100)]
    assert set(answers) == {250}
    until(lambda: "status=deferred" in house.log)
    time.sleep(1)
    found = len(delivered(house))
    reason = house.log.partition("status=deferred ")[2].partition("\n")[0]
    say(f"mailboxes of 1 MB: delivered {found}, in the queue {queued(house)}: {reason}")
    whole = [text for text in house.maildir("info") if len(text) > 19_000]
    assert len(whole) == found, "half a message lies in new/"
    kept = 0
    deadline = time.monotonic() + 60
    while queued(house) and time.monotonic() < deadline:
        for path in list((house.mail / "info/new").iterdir()):
            kept += 1
            path.unlink()
        time.sleep(0.5)
    kept += len(house.maildir("info"))
    say(f"with room again all of it arrives: {kept} of 100; in the queue {queued(house)}")
    assert kept == 100
    assert not os.listdir(house.mail / "info/tmp")
    house.stop()


def in_a_place(part: Callable[[Path], None]) -> None:
    place = Path(tempfile.mkdtemp(prefix="posthouse-disk-"))
    place.chmod(0o755)
    try:
        part(place)
    finally:
        subprocess.run(
            [sys.executable, "-m", "posthouse.commands.postfix", "-c", str(place / "conf"), "abort"], check=False
        )


def main() -> int:
    if os.environ.get("POSTHOUSE_OWN_MOUNTS") != "yes":
        os.environ["POSTHOUSE_OWN_MOUNTS"] = "yes"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    in_a_place(full_queue)
    in_a_place(full_mailbox)
    return 0


if __name__ == "__main__":
    sys.exit(main())
