"""sendmail -bs: SMTP on standard input and output, for programs that know no other way (smtpd(8), stand-alone).

The client is the user who runs it. Only the grammar is checked, and mail goes to maildrop/ as any mail of sendmail.
That works while the mail system is down; what main.cf says of addresses is applied by the mail system itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import BinaryIO

from posthouse.config.settings import Settings
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.protocols.maildrop_file import write_envelope
from posthouse.protocols.smtp_address import BadAddress, extract_address
from posthouse.protocols.smtp_data import DataDecoder
from posthouse.protocols.smtp_server import (
    CommandSyntax,
    MailParameters,
    Reply,
    address_words,
    mail_parameters,
    ok,
    rcpt_parameters,
    refuse,
)
from posthouse.receive import maildrop
from posthouse.system.dates import mail_date

EX_OK, EX_TEMPFAIL = 0, 75
_NESTED = refuse(503, "5.5.1", "Error: nested MAIL command")
_NEED_MAIL = refuse(503, "5.5.1", "Error: need MAIL command")
_NEED_RCPT = refuse(503, "5.5.1", "Error: need RCPT command")
_TOO_MANY = refuse(452, "4.5.3", "Error: too many recipients")
_TOO_BIG = refuse(552, "5.3.4", "Error: message file too big")
_NO_ROOM = refuse(451, "4.3.0", "Error: queue file write error")
_UNKNOWN = refuse(502, "5.5.2", "Error: command not recognized")
_NO_ETRN = refuse(458, "", "Unable to queue messages")
_BAD_BDAT = refuse(501, "5.5.4", "Syntax: BDAT count [LAST]")
_CHUNK = 1 << 16


def serve(settings: Settings, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Talk until QUIT or the end of input; the exit code."""
    return StdinSession(settings, stdin, stdout).talk()


class StdinSession:
    """One dialogue, one transaction at a time."""

    def __init__(self, settings: Settings, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._settings, self._in, self._out = settings, stdin, stdout
        self._host = settings.text("myhostname")
        self._size_limit = settings.integer("message_size_limit")
        self._line_limit = settings.integer("line_length_limit")
        self._recipient_limit = settings.integer("smtpd_recipient_limit")
        self._helo = ""
        self._protocol = "SMTP"
        self._sender: str | None = None
        self._parameters = MailParameters()
        self._recipients: list[Recipient] = []
        self._chunks: list[bytes] = []
        self._chunk_size = 0
        self._verbs: dict[str, Callable[[str], Reply]] = {
            "HELO": self._hello,
            "EHLO": self._extended_hello,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": lambda _words: ok("Ok"),
            "VRFY": self._verify,
            "ETRN": lambda _words: _NO_ETRN,
            "BDAT": self._bdat,
            "QUIT": lambda _words: Reply(ok("Bye", code=221).status, closes=True),
        }

    def talk(self) -> int:
        banner = self._settings.text("smtpd_banner")
        self._say(f"220 {banner}\r\n".encode())
        while line := self._in.readline(self._line_limit):
            verb, _, words = line.decode("utf-8", "surrogateescape").strip("\r\n").partition(" ")
            answer = self._verbs.get(verb.upper())
            reply = _UNKNOWN if answer is None else answer(words.strip())
            self._say(reply.wire())
            if reply.closes:
                return EX_OK
        return EX_OK

    def _say(self, data: bytes) -> None:
        self._out.write(data)
        self._out.flush()

    def _hello(self, words: str) -> Reply:
        if not words:
            return refuse(501, "", "Syntax: HELO hostname")
        self._forget()
        self._helo, self._protocol = words, "SMTP"
        return ok(self._host, "")

    def _extended_hello(self, words: str) -> Reply:
        if not words:
            return refuse(501, "", "Syntax: EHLO hostname")
        self._forget()
        self._helo, self._protocol = words, "ESMTP"
        lines = (
            self._host,
            "PIPELINING",
            f"SIZE {self._size_limit}",
            "VRFY",
            "ETRN",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
        )
        return Reply(ok("CHUNKING", "").status, (*lines, "DSN", "SMTPUTF8"))

    def _mail(self, words: str) -> Reply:
        if self._sender is not None:
            return _NESTED
        parts = address_words(words, "FROM:")
        if parts is None:
            return refuse(501, "5.5.4", "Syntax: MAIL FROM:<address>")
        try:
            sender = extract_address(parts[0], utf8=True)
            self._parameters = mail_parameters(parts[1:], dsn=True, utf8=True, verp=False)
        except BadAddress:
            return refuse(501, "5.1.7", "Bad sender address syntax")
        except CommandSyntax as problem:
            return problem.reply
        self._sender = sender
        return ok("Ok", "2.1.0")

    def _rcpt(self, words: str) -> Reply:
        if self._sender is None:
            return _NEED_MAIL
        parts = address_words(words, "TO:")
        if parts is None:
            return refuse(501, "5.5.4", "Syntax: RCPT TO:<address>")
        if len(self._recipients) >= self._recipient_limit:
            return _TOO_MANY
        try:
            address = extract_address(parts[0], utf8=True)
            parameters = rcpt_parameters(parts[1:], dsn=True)
        except BadAddress:
            return refuse(501, "5.1.3", "Bad recipient address syntax")
        except CommandSyntax as problem:
            return problem.reply
        if not address:
            return refuse(501, "5.1.3", "Bad recipient address syntax")
        self._recipients.append(Recipient(address, orcpt=parameters.orcpt, notify=parameters.notify))
        return ok("Ok", "2.1.5")

    def _data(self, _words: str) -> Reply:
        if not self._recipients:
            return _NEED_RCPT if self._sender is not None else _NEED_MAIL
        self._say(b"354 End data with <CR><LF>.<CR><LF>\r\n")
        parts, size = self._read_content()
        return self._finish(parts, size, "Ok: queued as")

    def _bdat(self, words: str) -> Reply:
        """A chunk of the content (RFC 3030); it is read in any case, as it stands behind the command."""
        count, _, last = words.upper().partition(" ")
        if not (count.isascii() and count.isdigit() and last.strip() in ("", "LAST")):
            return _BAD_BDAT
        left = int(count)
        while left and (part := self._in.read(min(left, _CHUNK))):
            left -= len(part)
            self._chunk_size += len(part)
            if not self._size_limit or self._chunk_size <= self._size_limit:
                self._chunks.append(part)
        if not self._recipients:
            self._forget()
            return _NEED_RCPT if self._sender is not None else _NEED_MAIL
        if not last:
            return ok(f"Ok: {int(count)} bytes")
        content = b"".join(self._chunks).replace(b"\r\n", b"\n")
        whole = content if not content or content.endswith(b"\n") else content + b"\n"
        return self._finish([whole], self._chunk_size, f"Ok: {self._chunk_size} bytes queued as")

    def _finish(self, parts: list[bytes], size: int, said: str) -> Reply:
        queue_id = secrets.token_hex(7).upper()
        try:
            if self._size_limit and size > self._size_limit:
                return _TOO_BIG
            self._leave(queue_id, parts)
        except OSError:
            return _NO_ROOM
        finally:
            self._forget()
        return ok(f"{said} {queue_id}")

    def _read_content(self) -> tuple[list[bytes], int]:
        """What comes until the lone dot, in memory up to the size limit; and how much there was."""
        decoder, parts, size = DataDecoder(), [], 0
        ended = False
        while not ended and (line := self._in.readline(_CHUNK)):
            ended = line in {b".\r\n", b".\n"}
            if not ended:
                part = decoder.feed(line)
                size += len(part)
                if not self._size_limit or size <= self._size_limit:
                    parts.append(part)
        parts.append(decoder.feed(b".\r\n"))
        return parts, size

    def _leave(self, queue_id: str, parts: list[bytes]) -> None:
        envelope = Envelope(
            sender=self._sender or "",
            recipients=tuple(self._recipients),
            envid=self._parameters.envid,
            ret=self._parameters.ret,
            encoding=self._parameters.body,
            smtputf8=self._parameters.smtputf8,
        )
        queue_directory = self._settings.text("queue_directory")
        first = write_envelope(envelope, time.time())
        maildrop.leave(queue_directory, [first, self._received(queue_id), *parts], 0)
        maildrop.wake_pickup(queue_directory)

    def _received(self, queue_id: str) -> bytes:
        helo = self._helo or "localhost"
        product = self._settings.text("mail_name")
        return (
            f"Received: from {helo} (localhost [127.0.0.1])\n"
            f"\tby {self._host} ({product}) with {self._protocol} id {queue_id}"
            f"{_for(self._recipients)}"
            f"{mail_date(time.time())}\n"
        ).encode("utf-8", "surrogateescape")

    def _rset(self, _words: str) -> Reply:
        self._forget()
        return ok("Ok")

    def _verify(self, words: str) -> Reply:
        return ok(words, "2.0.0", 252) if words else refuse(501, "5.5.4", "Syntax: VRFY address")

    def _forget(self) -> None:
        self._sender, self._recipients, self._parameters = None, [], MailParameters()
        self._chunks, self._chunk_size = [], 0


def _for(recipients: list[Recipient]) -> str:
    if len(recipients) == 1:
        return f"\n\tfor <{recipients[0].address}>; "
    return ";\n\t"
