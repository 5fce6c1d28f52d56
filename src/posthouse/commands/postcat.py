"""postcat(1): shows a message of the queue, as the records of Postfix's queue files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from posthouse.commands.queue_command import Command, Fatal
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import QueuedMessage
from posthouse.queue import asking
from posthouse.queue.queue_id import is_queue_id

USAGE = (
    "postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] "
    "[-q (access queue)] [-v] [file(s)...]"
)
_NUMBERS = {
    "message_size": "C",
    "message_arrival_time": "T",
    "named_attribute": "A",
    "create_time": "A",
    "sender_fullname": "F",
    "sender": "S",
    "original_recipient": "O",
    "recipient": "R",
    "done_recipient": "D",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the envelope: its name and value, and how many bytes it takes in Postfix's file."""

    name: str
    value: str

    @property
    def length(self) -> int:
        if self.name == "create_time":
            return 24
        return {"message_size": 97, "message_arrival_time": 19}.get(self.name, len(self.value.encode()) + 2)


@dataclass(frozen=True, slots=True)
class View:
    """What is asked for."""

    envelope: bool
    header: bool
    body: bool
    offsets: bool
    decimal: bool

    @property
    def marks(self) -> bool:
        """Whether the parts get a line that announces them."""
        return self.envelope


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("postcat", USAGE, 1)
    try:
        return _run(command, sys.argv[1:] if arguments is None else arguments)
    except Fatal as fatal:
        return command.die(fatal)
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _run(command: Command, words: Sequence[str]) -> int:
    pairs, names = command.options(words, "bc:dehoqsv")
    options = {option for option, _ in pairs}
    settings = command.load(next((value for option, value in pairs if option == "-c"), None))
    parts = options & {"-b", "-e", "-h"}
    view = View(
        not parts or "-e" in parts,
        not parts or "-h" in parts,
        not parts or "-b" in parts,
        "-o" in options,
        "-d" in options,
    )
    if not names:
        return 0
    if "-q" not in options:
        raise Fatal(f"open {names[0]}: queue files are not files of their own here, use -q")
    for name in names:
        if not is_queue_id(name):
            raise Fatal(f"bad mail queue ID: {name}")
        try:
            message = asking.find(settings.text("queue_directory"), name)
        except OSError as trouble:
            raise Fatal(f"open queue file {name}: {trouble.strerror}") from None
        if message is None:
            raise Fatal(f"open queue file {name}: No such file or directory")
        show(message, view)
    return 0


def show(message: QueuedMessage, view: View) -> None:
    """Write the message to standard output."""
    out, name, records = sys.stdout.buffer, file_name(message), list(envelope_records(message))
    records[0] = _size_record(message, sum(record.length for record in records) + 2)
    offset = 0

    def line(data: bytes, length: int = 0, letter: str = "") -> None:
        nonlocal offset
        head = f"{offset:9d} " if view.offsets else ""
        kind = f"{ord(letter)} " if view.decimal and letter else ""
        out.write(head.encode() + kind.encode() + data + b"\n")
        offset += length

    if view.envelope:
        out.write(f"*** ENVELOPE RECORDS {name} ***\n".encode())
    for record in records:
        if view.envelope:
            shown = record.value if view.decimal else f"{record.name}: {record.value}"
            line(shown.encode("utf-8", "surrogateescape"), record.length, _NUMBERS.get(record.name, "A"))
        else:
            offset += record.length
    if view.envelope:
        line(f"*** MESSAGE CONTENTS {name} ***".encode(), 2)
    for text in content_lines(message.content, view):
        line(text, len(text) + 2, "N")
    if view.envelope:
        line(f"*** HEADER EXTRACTED {name} ***".encode(), 2)
        line(f"*** MESSAGE FILE END {name} ***".encode())
    out.flush()


def file_name(message: QueuedMessage) -> str:
    """Where Postfix would have the message: the deferred queue is spread over folders."""
    if message.hold:
        return f"hold/{message.queue_id}"
    if message.attempts:
        return f"deferred/{message.queue_id[0]}/{message.queue_id}"
    return f"active/{message.queue_id}"


def content_lines(content: Content, view: View) -> Iterator[bytes]:
    """Lines of header and body, without their LF."""
    if view.header:
        yield from content.header.removesuffix(b"\n").split(b"\n") if content.header else ()
    if not view.body:
        return
    if isinstance(content.body, bytes):
        if content.body:
            yield from content.body.removesuffix(b"\n").split(b"\n")
        return
    with open(content.body.path, "rb") as file:
        file.seek(content.body.offset)
        left = content.body.length
        while left > 0 and (text := file.readline(min(left, 65536))):
            left -= len(text)
            yield text.removesuffix(b"\n")


def _size_record(message: QueuedMessage, offset: int) -> Record:
    numbers = (message.size, offset, len(message.envelope.recipients), 0, message.size, int(message.envelope.smtputf8))
    return Record("message_size", " ".join(f"{number:15d}" for number in numbers))


def envelope_records(message: QueuedMessage) -> Iterator[Record]:
    """The records before the content, in Postfix's order."""
    envelope, when = message.envelope, time.ctime(message.arrival)
    yield Record("message_size", "")
    yield Record("message_arrival_time", when)
    yield Record("create_time", when)
    if envelope.content_filter:
        yield Record("named_attribute", f"content_filter={envelope.content_filter}")
    comes_by_network = bool(envelope.origin.client_address)
    if comes_by_network:
        yield Record("named_attribute", f"log_ident={envelope.origin.identifier or message.queue_id}")
    yield Record("named_attribute", f"rewrite_context={envelope.rewrite_context or 'remote'}")
    if envelope.sender_fullname:
        yield Record("sender_fullname", envelope.sender_fullname)
    yield Record("sender", envelope.sender)
    yield from _dsn_records(envelope)
    if comes_by_network:
        yield from _client_records(envelope)
    for index, recipient in enumerate(envelope.recipients):
        original = recipient.original or recipient.address
        yield Record("named_attribute", f"dsn_orig_rcpt={recipient.orcpt or 'rfc822;' + original}")
        if recipient.notify:
            yield Record("named_attribute", f"notify_flags={int(recipient.notify)}")
        yield Record("original_recipient", original)
        yield Record("done_recipient" if index in message.done else "recipient", recipient.address)


def _dsn_records(envelope: Envelope) -> Iterator[Record]:
    if envelope.encoding:
        yield Record("named_attribute", f"encoding={'8bit' if envelope.encoding == '8BITMIME' else '7bit'}")
    if envelope.envid:
        yield Record("named_attribute", f"envelope_id={envelope.envid}")
    if envelope.ret:
        yield Record("named_attribute", f"ret_flags={1 if envelope.ret == 'FULL' else 2}")


def _client_records(envelope: Envelope) -> Iterator[Record]:
    origin = envelope.origin
    helo = origin.helo_name
    shown = {
        "log_client_name": origin.client_name,
        "log_client_address": origin.client_address,
        "log_client_port": origin.client_port,
        "log_message_origin": f"{origin.client_name}[{origin.client_address}]",
        "log_helo_name": helo,
        "log_protocol_name": origin.protocol_name,
        "client_name": origin.client_name,
        "reverse_client_name": origin.reverse_client_name or origin.client_name,
        "client_address": origin.client_address,
        "client_port": origin.client_port,
        "server_address": origin.server_address,
        "server_port": origin.server_port,
        "helo_name": helo,
        "protocol_name": origin.protocol_name,
        "client_address_type": "10" if ":" in origin.client_address else "2",
        "sasl_method": origin.sasl_method,
        "sasl_username": origin.sasl_username,
        "sasl_sender": origin.sasl_sender,
    }
    for name, value in shown.items():
        if value:
            yield Record("named_attribute", f"{name}={value}")


if __name__ == "__main__":
    sys.exit(main())
