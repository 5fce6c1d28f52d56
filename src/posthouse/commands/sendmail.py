"""sendmail(1): Postfix's Sendmail-compatible way to submit mail; also mailq, newaliases and SMTP on standard input."""

from __future__ import annotations

import os
import pwd
import re
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from posthouse.commands import authorized_users, command_log
from posthouse.commands.sendmail_options import (
    EX_OK,
    EX_TEMPFAIL,
    VERP_CHARACTERS,
    VERP_LENGTH,
    Options,
    Stop,
    program,
    read_options,
    warn,
)
from posthouse.errors import ConfigError

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.mail.envelope import Envelope

HEADER_LIMIT = 1 << 20
CHUNK = 1 << 20
NEEDS_NO_RECIPIENT = {
    "d": "daemon",
    "l": "daemon",
    "i": "alias initialization",
    "p": "display queue",
    "s": "stand-alone SMTP",
}
NO_RECIPIENTS = "Recipient addresses must be specified on the command line or via the -t option"


def main(argv: list[str] | None = None) -> int:
    """The exit code, of sysexits.h: 0 when the message is safe, 75 when it should be tried again."""
    settings: list[Settings] = []
    try:
        return _run(sys.argv[1:] if argv is None else argv, settings)
    except Stop as stop:
        print(f"{program()}: fatal: {stop.text}", file=sys.stderr)
        _log_fatal(settings, stop.text)
        return stop.code


def _run(words: list[str], loaded: list[Settings]) -> int:
    from posthouse.config.settings import load

    options = Options()
    trouble: Stop | None = None
    try:
        options = read_options(words)
    except Stop as stop:
        trouble = stop
        options.config_directory = _directory_among(words)
    if program() == "mailq":
        options.mode = "p"
    elif program() == "newaliases":
        options.mode = "i"
    try:
        settings = load(options.config_directory)
    except ConfigError as problem:
        if options.config_directory and os.getuid() != 0:
            _refuse_directory(options.config_directory)
        raise Stop(str(problem)) from None
    loaded.append(settings)
    _warn_overridden(settings.config_directory, with_postdrop=trouble is None and options.mode in {"m", "v"})
    if trouble is not None:
        raise trouble
    return _do(options, settings)


def _warn_overridden(directory: str, *, with_postdrop: bool) -> None:
    """Settings that later ones in main.cf replace are pointed out, as by every command that reads it."""
    from posthouse.config.main_cf import overridden, read_main_cf

    found = overridden(read_main_cf(os.path.join(directory, "main.cf")))
    for text in found:
        warn(text)
    for text in found if with_postdrop else ():
        print(f"postdrop: warning: {text}", file=sys.stderr)


def _refuse_directory(directory: str) -> None:
    """An ordinary user may name a configuration that root has approved of."""
    print(f"{program()}: error: unauthorized configuration directory name: {directory}", file=sys.stderr)
    names = ("alternate_config_directories", "multi_instance_directories")
    lines = " or ".join(f'"{name} = {directory}"' for name in names)
    raise Stop(f"specify {lines} in /etc/postfix/main.cf")


def _directory_among(words: list[str]) -> str | None:
    return next((words[at + 1] for at in range(len(words) - 1) if words[at] == "-C"), None)


def _log_fatal(settings: list[Settings], text: str) -> None:
    """Into the log of the mail system, where this user may write to it."""
    from posthouse.master import logs

    try:
        if settings:
            sink = logs.open_sink(settings[0])
            sink.write(f"{settings[0].text('syslog_name')}/sendmail", os.getpid(), "fatal", f"fatal: {text}")
    except ConfigError:
        return


def _refuse_mixed(options: Options) -> None:
    """Options that do not go together. Raises Stop."""
    if options.extracts and options.mode == "v":
        raise Stop("-t option cannot be used with -bv")
    if options.extracts and options.mode != "m":
        raise Stop("-t can be used only in delivery mode")


def _do(options: Options, settings: Settings) -> int:
    _refuse_mixed(options)
    if options.mode in "hH" or (options.queue or "")[:1].isdigit():
        return EX_OK  # queue runs in intervals, a status of hosts: what the mail system sees to by itself
    if options.queue is not None and options.mode == "m":
        return _flush(options, settings)
    if options.mode in NEEDS_NO_RECIPIENT and options.recipients:
        raise Stop(f"{NEEDS_NO_RECIPIENT[options.mode]} mode requires no recipient")
    match options.mode:
        case "p":
            return _other("postqueue", ["-c", settings.config_directory, "-p"])
        case "i":
            return _newaliases(options, settings)
        case "d" | "l":
            _other("postfix", ["-c", settings.config_directory, "start"])
            return EX_OK  # as Postfix, which starts it in the background
        case "h" | "H":
            return EX_OK
        case "s":
            from posthouse.receive import stdin_session

            _login(settings)
            return stdin_session.serve(settings, command_log.sink_of(settings), sys.stdin.buffer, sys.stdout.buffer)
        case _:
            return submit(options, settings)


def _other(command: str, words: list[str]) -> int:
    import importlib

    module = importlib.import_module(f"posthouse.commands.{command}")
    try:
        return int(module.main(words) or 0)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)


def _flush(options: Options, settings: Settings) -> int:
    """Have mail tried now. Raises Stop."""
    if options.recipients:
        what = "queue_id" if options.queue_id else "site" if options.site else "queue mode"
        raise Stop(f"flush {what} requires no recipient")
    words = ["-c", settings.config_directory]
    if options.queue_id:
        return _other("postqueue", [*words, "-i", options.queue_id])
    if options.site:
        return _other("postqueue", [*words, "-s", options.site])
    return _other("postqueue", [*words, "-f"])


def _newaliases(options: Options, settings: Settings) -> int:
    words = ["-c", settings.config_directory]
    if options.alias_file:
        return _other("postalias", [*words, options.alias_file])
    return _other("newaliases", words)


# -- submission


def submit(options: Options, settings: Settings, stdin: BinaryIO | None = None) -> int:
    """Take a message from standard input and leave it where pickup finds it; 0 once it is on stable storage."""
    login = _login(settings)
    sender = _sender_of(options, login)
    who = f"{sender}({os.getuid()})"
    recipients = _recipients(options)
    if not recipients and not options.extracts:
        raise Stop(f"{who}: {NO_RECIPIENTS}")
    if options.mode == "v":
        content: Iterator[bytes] = iter([_probe_text(sender, recipients)])
    else:
        content = message_content(stdin or sys.stdin.buffer, dot_ends=options.dot_ends, strip_cr=_strips_cr(settings))
    start, content = _with_header(content)
    if options.extracts:
        from posthouse.protocols.header_recipients import recipients_of
        from posthouse.protocols.smtp_data import end_of_header

        recipients = [*recipients, *recipients_of(start[: end_of_header(start)])]
        if not recipients:
            raise Stop(f"{who}: No recipient addresses found in message header")
    envelope = _envelope(options, settings, sender, login, recipients)
    _leave(settings, envelope, chain([start], content), who)
    if options.mode == "v" or options.verbose:
        print(f"Mail Delivery Status Report will be mailed to <{sender}>.")
    return EX_OK


def _login(settings: Settings) -> pwd.struct_passwd:
    """Who runs this; sendmail needs to know whose mail it is."""
    uid = os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise Stop(f"no login name found for user ID {uid}", EX_TEMPFAIL) from None
    if not authorized_users.is_authorized(settings, "authorized_submit_users", entry.pw_name):
        raise Stop(f"User {entry.pw_name}({uid}) is not allowed to submit mail")
    return entry


def _sender_of(options: Options, login: pwd.struct_passwd) -> str:
    if options.sender is None:
        return login.pw_name
    if not options.sender:
        return ""
    from posthouse.protocols.header_recipients import addresses

    found = addresses(options.sender)
    if len(found) != 1:
        warn(f"-f option specified malformed sender: {options.sender}")
    return found[0] if found else ""


def _recipients(options: Options) -> list[str]:
    from posthouse.protocols.header_recipients import addresses

    return [address for word in options.recipients for address in addresses(word) or [""]]


def _strips_cr(settings: Settings) -> str:
    return settings.text("sendmail_fix_line_endings").lower()


def message_content(stdin: BinaryIO, *, dot_ends: bool, strip_cr: str) -> Iterator[bytes]:
    """Lines with LF, in chunks: without a leading From_ line, up to a line of one dot, and without CRs at line ends.

    strip_cr is sendmail_fix_line_endings: always, never, or strict (when the first line has one).
    """
    chunk: list[bytes] = []
    size = 0
    at_start, strips = True, strip_cr == "always"
    for raw in stdin:
        line = raw if raw.endswith(b"\n") else raw + b"\n"
        if at_start:
            strips = strips or (strip_cr == "strict" and line.endswith(b"\r\n"))
            if line.startswith((b"From ", b">From ")):
                continue
            at_start = False
        if strips and line.endswith(b"\r\n"):
            line = line[:-2] + b"\n"
        if dot_ends and line == b".\n":
            break
        chunk.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
    yield b"".join(chunk)


def _with_header(content: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The start of the content, with all of a header of bounded size, and what follows."""
    start = b""
    for part in content:
        start += part
        if b"\n\n" in start or len(start) > HEADER_LIMIT:
            break
    return start, content


def _probe_text(sender: str, recipients: list[str]) -> bytes:
    """The message that a -bv request is reported with."""
    listed = ",\n\t".join(recipients)
    return f"From: {sender}\nSubject: probe\nTo:\t{listed}\n".encode("utf-8", "surrogateescape")


def _envelope(
    options: Options, settings: Settings, sender: str, login: pwd.struct_passwd, recipients: list[str]
) -> Envelope:
    from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace

    fullname = options.fullname
    if fullname is None:
        name = login.pw_gecos.partition(",")[0].replace("&", login.pw_name.capitalize())
        fullname = os.environ.get("NAME") or name
    trace = Trace.REPORT_DELIVERY if options.verbose else Trace.NONE
    notify = Notify(options.notify)
    return Envelope(
        sender=sender,
        recipients=tuple(Recipient(address, notify=notify) for address in recipients),
        sender_fullname=_one_line(fullname) if sender else "",
        envid=options.envid,
        ret="HDRS" if options.ret == "HDRS" else options.ret,
        encoding=options.encoding,
        verp=_verp(options, settings),
        rewrite_context="remote" if options.is_gateway else "local",
        trace=Trace.REPORT_ONLY if options.mode == "v" else trace,
        smtputf8=not all(address.isascii() for address in (sender, *recipients)),
    )


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n\0]+", " ", text)


def _verp(options: Options, settings: Settings) -> str:
    """The two delimiters; "" without -XV. Raises Stop."""
    if options.verp is None:
        return ""
    if not options.verp:
        return settings.text("default_verp_delimiters")
    if len(options.verp) != VERP_LENGTH or any(letter not in VERP_CHARACTERS for letter in options.verp):
        raise Stop(f"-V requires two characters from {VERP_CHARACTERS}")
    return options.verp


def _leave(settings: Settings, envelope: Envelope, content: Iterable[bytes], who: str) -> None:
    from posthouse.protocols.maildrop_file import write_envelope
    from posthouse.receive import maildrop

    queue_directory = settings.text("queue_directory")
    first = write_envelope(envelope, time.time())
    limit = settings.integer("message_size_limit")
    try:
        maildrop.leave(queue_directory, chain([first], content), limit and limit + len(first))
    except maildrop.TooLarge:
        print(f"postdrop: warning: uid={os.getuid()}: File too large", file=sys.stderr)
        warn("mail_stream_cleanup: close error")
        raise Stop(f"{who}: message file too big") from None
    except OSError as trouble:
        raise Stop(f"{who}: cannot leave the message in {queue_directory}/maildrop: {trouble.strerror}") from None
    maildrop.wake_pickup(queue_directory)


if __name__ == "__main__":
    sys.exit(main())
