"""posthouse try: a mail server of your own on free ports, with mail going through it while you watch."""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

WAIT_S = 10.0

MAIN_CF = """\
# The guide's configuration, on ports that nobody else uses.
compatibility_level = 3.6
myhostname = mail.example.com
mydestination = $myhostname, localhost
mynetworks = 127.0.0.2/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file = {place}/maillog
maillog_file_prefixes = {place}
mail_owner = {owner}

virtual_mailbox_domains = example.com
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = hash:{place}/conf/vmailbox
virtual_alias_maps = hash:{place}/conf/virtual
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_alias_domains = example.net

smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
"""

MASTER_CF = """\
127.0.0.1:{port} inet n  -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
"""

VMAILBOX = """\
# A path that ends in / is a Maildir, another an mbox file.
info@example.com   example.com/info/
sales@example.com  example.com/sales
all@example.com    example.com/all/
"""

VIRTUAL = """\
postmaster@example.com  info@example.com
team@example.com        info@example.com, sales@example.com
# A catch-all: whatever else comes for this domain.
@example.net            all@example.com
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demonstration lives."""

    path: str
    port: int

    def mail(self, name: str) -> str:
        return os.path.join(self.path, "mail", "example.com", name)


@dataclass(frozen=True, slots=True)
class Act:
    """One message: what it shows, to whom it goes, and what must become of it.

    boxes are the mailboxes that must have one more message; refusal is the reply code if it must not come in.
    """

    title: str
    recipient: str
    boxes: tuple[str, ...] = ()
    refusal: int = 0


ACTS = (
    Act("a virtual mailbox, as a Maildir", "info@example.com", ("info",)),
    Act("a virtual mailbox, as an mbox file", "sales@example.com", ("sales",)),
    Act("an alias with two members", "team@example.com", ("info", "sales")),
    Act("a catch-all for another domain", "anybody@example.net", ("all",)),
    Act("a recipient who is not here", "nobody@example.com", refusal=550),
    Act("an outsider who wants to use us as a relay", "victim@elsewhere.example", refusal=554),
)


def main(argv: list[str]) -> int:
    """0 when everything went as it should."""
    parser = argparse.ArgumentParser(prog="posthouse try", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the show instead of waiting for Ctrl-C")
    parser.add_argument("--keep", metavar="DIR", help="use this directory and leave it there")
    options = parser.parse_args(argv)
    with _ended_by_signals(), _place(options.keep) as place:
        return _show(place, once=options.once)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the demonstration as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _place(keep: str | None) -> Iterator[Place]:
    path = os.path.abspath(keep) if keep else tempfile.mkdtemp(prefix="posthouse-")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)  # noqa: S103 - mail_owner and the mailboxes' owner have to get in
    try:
        place = Place(path, _free_port())
        _furnish(place)
        yield place
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _owner() -> pwd.struct_passwd:
    """Who owns the queue and the mailboxes: this user, or an unprivileged one where this is root."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    for name in ("postfix", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return pwd.getpwuid(0)


def _furnish(place: Place) -> None:
    owner = _owner()
    values = {"place": place.path, "port": place.port, "owner": owner.pw_name}
    values |= {"uid": owner.pw_uid, "gid": owner.pw_gid}
    for folder in ("conf", "mail"):
        os.makedirs(os.path.join(place.path, folder), exist_ok=True)
    if os.getuid() == 0:
        os.chown(os.path.join(place.path, "mail"), owner.pw_uid, owner.pw_gid)
    files = {"main.cf": MAIN_CF, "master.cf": MASTER_CF, "vmailbox": VMAILBOX, "virtual": VIRTUAL}
    for name, text in files.items():
        with open(os.path.join(place.path, "conf", name), "w", encoding="ascii") as file:
            file.write(text.format(**values))


def _postfix(place: Place, word: str) -> int:
    command = [sys.executable, "-m", "posthouse.commands.postfix", "-c", os.path.join(place.path, "conf"), word]
    return subprocess.run(command, check=False).returncode


def _show(place: Place, *, once: bool) -> int:
    print(f"A mail server for example.com and example.net, in {place.path}")
    if _postfix(place, "start"):
        return 1
    try:
        good = all([_play(place, act) for act in ACTS])  # noqa: C419 - every act is played, also after a failure
        print()
        print("Everything went as it should." if good else "Something went wrong; the log:")
        if not good:
            _print_log(place)
        if not once:
            _stay(place)
    except KeyboardInterrupt:
        return 0
    else:
        return 0 if good else 1
    finally:
        _postfix(place, "stop")


def _stay(place: Place) -> None:
    print(f"\nIt listens on 127.0.0.1 port {place.port} (SMTP, no password, no encryption). For example:")
    print(f"  swaks --server 127.0.0.1:{place.port} --to info@example.com")
    print(f"  tail -f {place.path}/maillog")
    print(f"  mailq -C {place.path}/conf")
    print("Ctrl-C ends it and takes everything away.", flush=True)
    while True:
        time.sleep(3600)


def _play(place: Place, act: Act) -> bool:
    before = {box: _count(place, box) for box in act.boxes}
    print(f"\n{act.title}: mail from friend@elsewhere.example to {act.recipient}")
    code, text = _send(place, act)
    print(f"  the server said: {code} {text}")
    if act.refusal:
        return code == act.refusal
    if code != 250:
        return False
    for box in act.boxes:
        if not _until(lambda box=box: _count(place, box) > before[box]):  # type: ignore[misc]
            print(f"  it did not arrive in {place.mail(box)}")
            return False
        print(f"  it lies in {place.mail(box)}{'/new/' if _is_maildir(place, box) else ''}")
    return True


def _send(place: Place, act: Act) -> tuple[int, str]:
    text = (
        f"From: A Friend <friend@elsewhere.example>\r\nTo: <{act.recipient}>\r\nSubject: {act.title}\r\n\r\n"
        "Hello! This message went through Posthouse.\r\n"
    )
    try:
        with smtplib.SMTP("127.0.0.1", place.port, local_hostname="client.elsewhere.example", timeout=WAIT_S) as client:
            client.ehlo()
            client.mail("friend@elsewhere.example")
            code, answer = client.rcpt(act.recipient)
            if code == 250:
                code, answer = client.data(text)
    except (OSError, smtplib.SMTPException) as trouble:
        return 0, str(trouble)
    return code, answer.decode("utf-8", "replace")


def _is_maildir(place: Place, box: str) -> bool:
    return os.path.isdir(place.mail(box))


def _count(place: Place, box: str) -> int:
    """Messages in a mailbox of either form."""
    path = place.mail(box)
    if os.path.isdir(path):
        new = os.path.join(path, "new")
        return len(os.listdir(new)) if os.path.isdir(new) else 0
    try:
        with open(path, "rb") as file:
            return sum(line.startswith(b"From ") for line in file)
    except FileNotFoundError:
        return 0


def _until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _print_log(place: Place) -> None:
    with contextlib.suppress(OSError), open(os.path.join(place.path, "maillog"), encoding="utf-8") as file:
        print(file.read())
