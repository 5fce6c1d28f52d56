"""Runs a page of the guide: its configuration on free ports of loopback, its commands, its dialogues."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path

from guide.guide_page import Block, blocks, fits
from guide.sink import Sink
from posthouse.commands.posthouse_try import MASTER_CF
from posthouse.config.main_cf import logical_lines, parse_main_cf
from whole_house.house_scene import free_port, owner

WAIT_S = 20.0
CLIENT, STRANGER = "client.example.net", "203.0.113.5"
READS_ONLY = ("cat", "ls", "grep", "find", "mailq", "postqueue -p", "postqueue -j", "tail", "posthouse queue")
PORT_NAMES = {"smtp": "25", "submission": "587", "submissions": "465", "smtps": "465"}


class GuideHouse:
    """One page's mail server. Paths, names of other hosts and ports are put in place of those that the page prints."""

    def __init__(self, page: Path, place: Path) -> None:
        self.page, self.place, self.blocks = page, place, blocks(page)
        self.ports = {"25": free_port()}
        self.sinks: dict[str, Sink] = {}
        self.down: dict[str, int] = {}
        self.main: dict[str, str] = {}
        self.services: dict[tuple[str, str], str] = {}
        self.wrong: list[Block] = []
        self.runs = self.stale = False
        self.paths = {
            "/etc/postfix": place / "conf", "/var/mail/domains": place / "mail", "/var/spool/postfix": place / "queue",
            "/var/log/maillog": place / "maillog", "/usr/local/libexec": place / "libexec", "/tmp": place / "tmp",
        }  # fmt: skip
        self._furnish()

    def _furnish(self) -> None:
        who = owner()
        for path in ("conf", "mail", "libexec", "tmp"):
            (self.place / path).mkdir()
        for path in ("mail", "tmp"):
            if os.getuid() == 0:
                os.chown(self.place / path, who.pw_uid, who.pw_gid)
        for block in self.blocks:
            if block.kind == "arrives":
                self.sinks.setdefault(block.words[0], Sink())
        self.forced = {
            "compatibility_level": "3.6",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "queue_directory": f"{self.place}/queue",
            "data_directory": f"{self.place}/data",
            "maillog_file": f"{self.place}/maillog",
            "maillog_file_prefixes": str(self.place),
            "mail_owner": who.pw_name,
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
            "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{who.pw_uid}",
            "virtual_gid_maps": f"static:{who.pw_gid}",
            "default_privs": "nobody" if os.getuid() == 0 else who.pw_name,
        }
        self._add_services(MASTER_CF.format(port=self.ports["25"]))
        self._write()

    # -- the page's names and ours

    def ours(self, text: str) -> str:
        """What the page prints, with this test's paths and ports."""
        names = "|".join(re.escape(page) for page in self.paths)
        text = re.sub(rf"(?<![\w.-])({names})(?![\w-])", lambda found: str(self.paths[found[1]]), text)
        text = re.sub(r"(127\.0\.0\.1\]?):(100\d\d)\b", lambda found: f"{found[1]}:{self._own_port(found[2])}", text)
        return re.sub(r"\[([a-z][\w.-]*\.[a-z]+)\](?::(\d+|[a-z]+))?", self._elsewhere, text)

    def _own_port(self, number: str) -> int:
        """A port on which one of the page's own services listens beside the usual ones."""
        return self.ports.setdefault(number, free_port())

    def _elsewhere(self, found: re.Match[str]) -> str:
        """Another host: one that listens where the page says what arrives there, else one that is down."""
        name = found[1] if found[2] is None else f"{found[1]}:{PORT_NAMES.get(found[2], found[2])}"
        sink = self.sinks.get(name)
        port = sink.port if sink else self.down.setdefault(name, free_port())
        return f"[127.0.0.1]:{port}"

    def theirs(self, text: str) -> str:
        """What a command printed, as the page shows it."""
        text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)
        for name, here in (self.down | {name: sink.port for name, sink in self.sinks.items()}).items():
            host, _, port = name.partition(":")
            text = text.replace(f"127.0.0.1[127.0.0.1]:{here}", f"{host}[192.0.2.25]:{port or 25}")
            text = text.replace(f"[127.0.0.1]:{here}", f"[{host}]" + (f":{port}" if port else ""))
        for number, port in self.ports.items():
            if number.startswith("100"):
                text = re.sub(rf"(127\.0\.0\.1\]?):{port}\b", rf"\1:{number}", text)
        for page, here in self.paths.items():
            text = text.replace(str(here), page)
        # These tests run with one account for all.
        text = re.sub(r"(?m)^.*default_privs and mail_owner specify the same user.*\n", "", text)
        return text.replace("connect from localhost[127.0.0.1]", f"connect from {CLIENT}[{STRANGER}]")

    # -- configuration

    def configure(self, block: Block) -> None:
        if "wrong" in block.words:
            self.wrong.append(block)
            return
        text = self.ours(block.text)
        if block.kind == "main.cf":
            self.main |= {setting.name: setting.value for setting in parse_main_cf(text, self.page.name)}
        elif block.kind == "master.cf":
            self._add_services(text)
        else:
            path = self._path_of(block)
            path.write_text(text)
            if block.kind == "script":
                path.chmod(0o755)
            return
        self.stale = True
        self._write()

    def _path_of(self, block: Block) -> Path:
        name = self.ours(block.words[0])
        return Path(name) if name.startswith("/") else self.place / "conf" / name

    def _add_services(self, text: str) -> None:
        """Services by name and type; inet ones listen on ports of our own."""
        for _, line in logical_lines(text):
            name, kind, rest = re.match(r"(\S+)\s+(\S+)\s+(.*)", line, re.DOTALL).groups()
            if kind == "inet" and not name.startswith("127.0.0.1:"):
                number = PORT_NAMES.get(name.rpartition(":")[2], name.rpartition(":")[2])
                name = f"127.0.0.1:{self.ports.setdefault(number, free_port())}"
            who = "nobody" if os.getuid() == 0 else owner().pw_name
            rest = re.sub(r"user=[\w:]+", f"user={who}", rest)
            self.services[name, kind] = f"{name} {kind} {rest}"

    def _write(self, folder: Path | None = None, extra: str = "", services: str = "") -> None:
        folder = folder or self.place / "conf"
        lines = {**self.main, **self.forced}
        (folder / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()) + extra)
        (folder / "master.cf").write_text("\n".join(self.services.values()) + "\n" + services)

    # -- running

    def run(self) -> None:
        for block in self.blocks:
            try:
                getattr(self, f"_do_{block.kind.replace('.', '_')}")(block)
            except AssertionError as problem:
                raise AssertionError(f"{self.page.name}:{block.line}: {problem}") from None

    _do_main_cf = _do_master_cf = _do_table = _do_script = configure

    def _do_text(self, block: Block) -> None:
        """Nothing runs."""

    def start(self) -> None:
        self._command("postfix start" if not self.runs else "postfix stop; postfix start")
        self.runs, self.stale = True, False

    def stop(self) -> None:
        if self.runs:
            self._command("postfix stop")
        for sink in self.sinks.values():
            sink.close()

    def _command(self, line: str, folder: Path | None = None) -> str:
        """What a person at a terminal sees."""
        environment = os.environ | {
            "MAIL_CONFIG": str(folder or self.place / "conf"), "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            ["/bin/sh", "-c", line], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment,
            cwd=self.place,
        )  # fmt: skip
        os.close(theirs)
        try:
            return _read_all(ours, process).replace("\r\n", "\n")
        finally:
            os.close(ours)
            process.wait(5)

    def _do_console(self, block: Block) -> None:
        folder = self._wrong_folder() if self.wrong else None
        parts = re.split(r"(?m)^\$ ", block.text)
        assert not parts[0].strip(), "a console block begins with a command"
        for part in parts[1:]:
            line, _, expected = part.partition("\n")
            self._one_command(line, expected, folder)
        if folder is not None:
            shutil.rmtree(folder)
            self.wrong = []

    def _one_command(self, line: str, expected: str, folder: Path | None) -> None:
        if not self.runs and line.startswith("sendmail"):
            self.start()
        shown = ""
        for _ in _patiently(line.startswith(READS_ONLY) and "--yes" not in line):
            shown = self.theirs(self._command(self.ours(line), folder))
            if folder is not None:
                shown = shown.replace(str(folder), "/etc/postfix")
            if fits(expected, shown):
                break
        if os.environ.get("GUIDE_SHOWS"):
            print(f"$ {line}\n{shown}")
        assert fits(expected, shown), f"$ {line}\nprints:\n{shown}\nand not:\n{expected}\nlog:\n{self.log()}"
        if line == "postfix start":
            self.runs, self.stale = True, False
        elif line == "postfix stop":
            self.runs = False
        elif line == "postfix reload" and folder is None:
            self.stale = False
            time.sleep(1.0)

    def _wrong_folder(self) -> Path:
        folder = self.place / "wrong"
        shutil.copytree(self.place / "conf", folder)
        main = "".join(self.ours(block.text) for block in self.wrong if block.kind == "main.cf")
        master = "".join(self.ours(block.text) for block in self.wrong if block.kind == "master.cf")
        self._write(folder, main, master)
        return folder

    def _do_smtp(self, block: Block) -> None:
        if not self.runs or self.stale:
            self.start()
        client = next((word for word in block.words if "." in word), STRANGER)
        port = next((word for word in block.words if word.isdecimal()), "25")
        with smtplib.SMTP("127.0.0.1", self.ports[port], timeout=WAIT_S) as connection:
            connection.ehlo()
            code, text = connection.docmd(f"XCLIENT NAME={CLIENT} ADDR={client}")
            _Dialogue(connection, code, text.decode()).play(block.text)

    def _do_arrives(self, block: Block) -> None:
        sink = self.sinks[block.words[0]]
        wanted = block.text.strip().split("\n")
        for _ in _patiently(True):
            if any(_has_lines(text, wanted) for text in sink.texts):
                return
        raise AssertionError(f"{block.words[0]} got {sink.texts}\nlog:\n{self.log()}")

    def _do_maillog(self, block: Block) -> None:
        missing: list[str] = []
        for _ in _patiently(True):
            lines = [line.partition("postfix/")[2] for line in self.theirs(self.log()).split("\n")]
            shown = [re.sub(r"^([\w/-]+)\[\d+\]", r"\1[...]", f"postfix/{line}") for line in lines]
            wanted = [re.sub(r"\[\d+\]:", "[...]:", line, count=1) for line in block.text.strip().split("\n")]
            missing = [line for line in wanted if not any(fits(line, one) for one in shown)]
            if not missing:
                return
        raise AssertionError(f"no such lines in the log: {missing}\n{self.log()}")

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.place / "maillog").read_text()
        return ""


class _Dialogue:
    """C: lines are sent, S: lines are what must be answered."""

    def __init__(self, connection: smtplib.SMTP, code: int, text: str) -> None:
        self._connection, self._next = connection, [f"{code} {line}" for line in text.split("\n")]

    def play(self, text: str) -> None:
        lines = text.strip("\n").split("\n")
        for at, line in enumerate(lines):
            side, words = line[:2], line[3:]
            assert side in ("C:", "S:"), f"neither C: nor S: {line}"
            if side == "C:":
                self._connection.send(words.encode() + b"\r\n")
                self._next = []
            elif at + 1 == len(lines) or lines[at + 1][:2] != "S:":
                first = at
                while first and lines[first - 1][:2] == "S:":
                    first -= 1
                self._expect([one[3:] for one in lines[first : at + 1]])
        if lines[-1] != "C: QUIT" and "C: QUIT" not in lines:
            self._connection.send(b"QUIT\r\n")

    def _expect(self, wanted: list[str]) -> None:
        if not self._next:
            code, text = self._connection.getreply()
            parts = text.decode().split("\n")
            self._next = [f"{code}{'-' if n + 1 < len(parts) else ' '}{part}" for n, part in enumerate(parts)]
        heard = self._next if len(wanted) > 1 else self._next[-1:]
        assert fits("\n".join(wanted), "\n".join(heard)), f"the server says {heard} and not {wanted}"


def _has_lines(text: str, wanted: list[str]) -> bool:
    have = text.split("\n")
    return all(any(fits(line, one) for one in have) for line in wanted)


def _patiently(patient: bool):
    deadline = time.monotonic() + (WAIT_S if patient else 0)
    yield
    while time.monotonic() < deadline:
        time.sleep(0.05)
        yield


def _read_all(descriptor: int, process: subprocess.Popen[bytes]) -> str:
    """Everything, until the command has ended; what it leaves running may keep the terminal open."""
    data = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        readable, _, _ = select.select([descriptor], [], [], 0.02)
        if not readable:
            if process.poll() is not None:
                break
            continue
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    return data.decode("utf-8", "replace")


def wait_for_port(port: int) -> None:
    for _ in _patiently(True):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
