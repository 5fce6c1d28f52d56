"""Filters that fail: after the queue (smtp, pipe), before it (proxy), and a milter. Each notes what it does.

    faulty_filter.py smtp|proxy|milter PORT BACK EVENTS [SHARE]     serve; give mail back to the port BACK
    faulty_filter.py pipe BACK EVENTS [SHARE]                       one message on standard input, as pipe(8) runs it

SHARE of a hundred transactions fail. When EVENTS.fair exists they behave. Events are lines 'KIND TIME MARK WHAT':
fault; returning (before the end of the content goes back); taken (the answer that makes the mail ours is about to go
out); discarded.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import socketserver
import struct
import sys
import time

HANG_S = 4.0
DRIP_S = 0.02
GARBAGE = (
    b"\x00\xff what? \r\n",
    b"999 no such code\r\n",
    b"2" * 20_000 + b"\r\n",
    b"250-never ends\r\n" * 5,
    b"\r\n\r\n",
)
REFUSALS = {"4xx": b"450 4.7.1 not now\r\n", "421": b"421 4.3.2 going down\r\n", "5xx": b"550 5.7.1 never\r\n"}
STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "half", "end")
ACTIONS = ("close", "hang", "garbage", "4xx", "421", "5xx", "drip")
AT_END = ("twice", "return and 4xx", "return and close", "return and hang", "discard")
MARK = re.compile(rb"^X-Mark: (\S+)", re.MULTILINE)


class Notes:
    """The events file, which several processes write to."""

    def __init__(self, path: str, share: int) -> None:
        self.path, self.share = path, share

    def note(self, kind: str, mark: str, what: str) -> None:
        line = f"{kind} {time.time():.3f} {mark} {what}\n".encode()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def fails(self) -> bool:
        return random.randrange(100) < self.share and not os.path.exists(f"{self.path}.fair")


def give_back(port: int, sender: bytes, recipients: list[bytes], content: bytes, fields: bytes = b"") -> bytes:
    """Through the reinjection port; its last reply. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock, sock.makefile("rwb") as peer:
        said = _reply(peer)
        for line in (b"EHLO filter", b"MAIL FROM:" + sender, *(b"RCPT TO:" + r for r in recipients), b"DATA"):
            peer.write(line + b"\r\n")
            peer.flush()
            said = _reply(peer)
            if said[:1] not in b"23":
                return said
        peer.write(fields + content + b".\r\n")
        peer.flush()
        return _reply(peer)


def _reply(peer: socketserver.BufferedIOBase) -> bytes:
    while line := peer.readline():
        if line[3:4] != b"-":
            return line
    raise ConnectionError


class SmtpFilter(socketserver.StreamRequestHandler):
    """Behind the queue or before it: to itself it is the same."""

    def handle(self) -> None:
        self.sender, self.recipients, self.mark, self.has_sender = b"", [], "?", False
        with contextlib.suppress(OSError):
            self._plan()
            if self._step("greeting", b"220 filter ESMTP"):
                for line in self.rfile:
                    if not self._command(line.strip()):
                        return

    def _plan(self) -> None:
        """Where the next transaction fails, and how."""
        self.stage = random.choice(STAGES) if self.server.notes.fails() else ""
        self.action = random.choice(ACTIONS + AT_END if self.stage == "end" else ACTIONS)

    def _command(self, line: bytes) -> bool:
        verb, argument = line[:4].upper(), line[5:].partition(b":")[2].strip()
        if verb in (b"EHLO", b"HELO"):
            return self._step("EHLO", b"250-filter\r\n250-PIPELINING\r\n250 8BITMIME")
        if verb == b"MAIL":
            self.sender, self.recipients = argument.split(b" ")[0], []
            self.mark = argument.partition(b"+")[2].partition(b"@")[0].decode() or self.mark
            go_on = self._step("MAIL", b"250 2.1.0 Ok")
            self.has_sender = not self.has_refused
            return go_on
        if verb == b"RCPT" and not self.has_sender:
            self.wfile.write(b"503 5.5.1 no sender\r\n")
            return True
        if verb == b"RCPT":
            go_on = self._step("RCPT", b"250 2.1.5 Ok")
            if not self.has_refused:
                self.recipients.append(argument.split(b" ")[0])
            return go_on
        if verb == b"DATA":
            if not self.recipients:
                self.wfile.write(b"554 5.5.1 no valid recipients\r\n")
                return True
            return self._step("DATA", b"354 go on") and (self.has_refused or self._content())
        if verb == b"QUIT":
            self.wfile.write(b"221 2.0.0 Bye\r\n")
            return False
        self.wfile.write(b"250 2.0.0 Ok\r\n")
        return True

    def _content(self) -> bool:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line)
            if len(lines) == 8 and self.stage == "half" and not self._step("half", b""):
                return False
        content = b"".join(lines)
        found = MARK.search(content)
        self.mark = found[1].decode() if found else self.mark
        return self._end(content)

    def _end(self, content: bytes) -> bool:
        action = self.action if self.stage == "end" else ""
        if action == "discard":
            self._note("fault", action)
            self._note("discarded", action)
            return self._yes(b"250 2.7.0 Ok, discarded")
        if action in ACTIONS and action != "drip":
            return self._step("end", b"")
        said = b""
        for _ in range(2 if action == "twice" else 1):
            self._note("returning", "")
            said = give_back(self.server.back, self.sender, self.recipients, content, b"X-Filtered: yes\r\n")
        if action == "return and close":
            self._note("fault", action)
            return False
        if action == "return and hang":
            self._note("fault", action)
            time.sleep(HANG_S)
            return False
        if action == "return and 4xx":
            self._note("fault", action)
            said = b"451 4.5.0 Error in processing"
        elif action == "twice":
            self._note("fault", action)
        return self._yes(said.strip())

    def _yes(self, said: bytes) -> bool:
        if said.startswith(b"250"):
            self._note("taken", "")
        go_on = self._step("end" if self.action == "drip" else "", said)
        self._plan()
        return go_on

    def _step(self, stage: str, said: bytes) -> bool:
        """Answer; whether the session goes on."""
        self.has_refused = False
        if not stage or stage != self.stage:
            self.wfile.write(said + b"\r\n")
            return True
        self._note("fault", f"{self.action} at {stage}")
        self.stage = ""
        match self.action:
            case "close":
                return False
            case "hang":
                time.sleep(HANG_S)
                return False
            case "garbage":
                self.wfile.write(random.choice(GARBAGE))
                return False
            case "drip":
                for byte in said + b"\r\n" if said else b"":
                    self.wfile.write(bytes((byte,)))
                    self.wfile.flush()
                    time.sleep(DRIP_S)
                return True
        self.wfile.write(
            {"4xx": b"450 4.7.1 not now", "421": b"421 4.3.2 going down", "5xx": b"550 5.7.1 never"}[self.action]
            + b"\r\n"
        )
        self.has_refused = True
        return self.action != "421" and stage != "half"

    def _note(self, kind: str, what: str) -> None:
        self.server.notes.note(kind, self.mark, f"{self.server.name} {what}")


MILTER_ANSWERS = {
    "reject": b"r", "tempfail": b"t", "unknown verb": b"Z", "too long": b"c\0\0", "empty": b"",
    "bad reply": b"y99 what\0", "half a reply": b"y550", "early edit": b"hX-A\0v\0", "bad number": b"m\0",
}  # fmt: skip


class Milter(socketserver.StreamRequestHandler):
    """Protocol 6; a mark is known from the recipient on."""

    FAULTS = (*MILTER_ANSWERS, "close", "hang", "drip", "huge", "discard", "quarantine", "edit and close", "accept")

    def handle(self) -> None:
        self.mark = "?"
        self._plan()
        with contextlib.suppress(OSError):
            while len(size := self.rfile.read(4)) == 4:
                packet = self.rfile.read(struct.unpack(">I", size)[0])
                if not packet or not self._heard(packet[:1], packet):
                    return

    def _plan(self) -> None:
        self.letter = random.choice("OCHMRTLNBE").encode() if self.server.notes.fails() else b""
        self.fault = random.choice(self.FAULTS)

    def _heard(self, letter: bytes, packet: bytes) -> bool:
        if letter in b"MR":
            self.mark = packet.partition(b"+")[2].partition(b"@")[0].decode() or self.mark
        if letter == b"Q":
            return False
        if letter == self.letter:
            self.letter = b""
            return self._fail(letter)
        if letter == b"O":
            self._send(b"O" + packet[1:9] + b"\0\0\0\0")
        elif letter not in b"DAK":
            self._send(b"c")
        if letter == b"E":
            self._plan()
        return True

    def _fail(self, letter: bytes) -> bool:
        self.server.notes.note("fault", self.mark, f"milter {self.fault} at {letter.decode()}")
        match self.fault:
            case "close":
                return False
            case "hang":
                time.sleep(HANG_S)
                return False
            case "huge":
                self.wfile.write(struct.pack(">I", 1 << 31) + b"c")
            case "drip":
                for byte in struct.pack(">I", 1) + b"c":
                    self.wfile.write(bytes((byte,)))
                    time.sleep(DRIP_S)
            case "discard":
                self.server.notes.note("discarded", self.mark, "milter")
                self._send(b"d")
            case "quarantine":
                self._send(b"qlook at it\0")
                self._send(b"c")
            case "edit and close":
                self._send(b"hX-Half\0done\0")
                self._send(b"bnew body\r\n")
                return False
            case "accept":
                self._send(b"a")
            case _:
                self._send(MILTER_ANSWERS[self.fault])
        return True

    def _send(self, packet: bytes) -> None:
        self.wfile.write(struct.pack(">I", len(packet)) + packet)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def serve(kind: str, port: int, back: int, notes: Notes) -> None:
    with Server(("127.0.0.1", port), Milter if kind == "milter" else SmtpFilter) as server:
        server.name, server.back, server.notes = kind, back, notes
        server.serve_forever()


PIPE_FAULTS = (
    "75", "70", "hang", "signal", "no reading", "twice", "return and 75", "return and die", "fork", "noise",
)  # fmt: skip


def pipe(back: int, notes: Notes) -> int:
    """Exit codes are those of sysexits.h."""
    fault = random.choice(PIPE_FAULTS) if notes.fails() else ""
    if fault == "no reading":
        notes.note("fault", "?", "pipe no reading")
        return 75
    content = sys.stdin.buffer.read().replace(b"\n", b"\r\n")
    found = MARK.search(content)
    mark = found[1].decode() if found else "?"
    if fault:
        notes.note("fault", mark, f"pipe {fault}")
    if fault in ("75", "70"):
        print("4.3.0 not now" if fault == "75" else "internal trouble")
        return int(fault)
    _misbehave(fault)
    sender, *recipients = [f"<{word}>".encode() for word in sys.argv[-1].split(",")]
    content = re.sub(rb"(?m)^\.", b"..", content)
    for _ in range(2 if fault == "twice" else 1):
        notes.note("returning", mark, "pipe")
        if not give_back(back, sender, recipients, content, b"X-Filtered: yes\r\n").startswith(b"250"):
            return 75
    if fault == "return and 75":
        return 75
    if fault == "return and die":
        os.kill(os.getpid(), 9)
    notes.note("taken", mark, "pipe")
    return 0


def _misbehave(fault: str) -> None:
    """Before the message goes back."""
    match fault:
        case "hang":
            time.sleep(60)  # the limit ends it; where that was killed, itself does
        case "signal":
            os.kill(os.getpid(), 9)
        case "fork" if os.fork() == 0:
            for file in range(3):
                os.close(file)
            time.sleep(8)
            os._exit(0)
        case "noise":
            print("x" * 100_000)


def main() -> int:
    kind, *words = sys.argv[1:]
    if kind == "pipe":
        back, events, share, _ = words
        try:
            return pipe(int(back), Notes(events, int(share)))
        except OSError:
            return 75
    port, back, events, share = words
    serve(kind, int(port), int(back), Notes(events, int(share)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
