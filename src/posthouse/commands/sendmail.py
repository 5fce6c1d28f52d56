"""sendmail(1): Postfix's Sendmail-compatible way to submit mail; also mailq, newaliases and SMTP on standard input."""

from __future__ import annotations

import getopt
import os
import pwd
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from posthouse.errors import ConfigError

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.mail.envelope import Envelope

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL = 0, 64, 69, 75
HEADER_LIMIT = 1 << 20
CHUNK = 1 << 20
VERP_CHARACTERS = "-=+"
ENVID_LIMIT = 100
MODES = frozenset("dimpsv")
NEEDS_NO_RECIPIENT = {"d": "daemon", "i": "alias initialization", "p": "display queue", "s": "stand-alone SMTP"}
NO_RECIPIENTS = "Recipient addresses must be specified on the command line or via the -t option"
NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}
LETTERS = "A:B:C:F:GIL:N:O:R:UV:X:b:cd:e:f:h:imno:p:q:r:tvx"


class Stop(Exception):
    """The end of this run: text for standard error and the log."""

    def __init__(self, text: str, code: int = EX_TEMPFAIL) -> None:
        super().__init__(text)
        self.text, self.code = text, code


@dataclass(slots=True)
class Options:
    """What the command line asks for. mode is the letter after -b; queue is the text after -q, None without it."""

    mode: str = "m"
    config_directory: str | None = None
    sender: str | None = None
    fullname: str | None = None
    extracts: bool = False
    dot_ends: bool = True
    verbose: int = 0
    encoding: str = ""
    notify: int = 0
    ret: str = ""
    envid: str = ""
    verp: str | None = None
    smtputf8: bool = False
    queue: str | None = None
    site: str = ""
    queue_id: str = ""
    alias_file: str = ""
    recipients: list[str] = field(default_factory=list)


def warn(text: str) -> None:
    """A warning on standard error; nobody else is interested."""
    print(f"{program()}: warning: {text}", file=sys.stderr)


def program() -> str:
    """The name that this command was called by."""
    return os.path.basename(sys.argv[0]) or "sendmail"


# -- the command line


def read_options(words: list[str]) -> Options:
    """In order, up to the first word that is no option. Raises Stop."""
    try:
        pairs, recipients = getopt.getopt(list(_joined(words)), LETTERS)
    except getopt.GetoptError as problem:
        needs = "requires argument" in problem.msg
        trouble = "option requires an argument" if needs else "invalid option"
        print(f"{program()}: {trouble} -- '{problem.opt}'", file=sys.stderr)
        raise Stop("usage: sendmail [options]") from None
    options = Options(recipients=recipients)
    for letter, value in pairs:
        _apply(options, letter[1], value)
    return options


def _joined(words: list[str]) -> Iterator[str]:
    """Options whose value is only ever joined to them, made fit for getopt: -q, -d, -I, -m and the like."""
    at_options, is_value = True, False
    for word in words:
        if is_value:
            is_value = False
            yield word
            continue
        at_options = at_options and word.startswith("-") and word not in {"-", "--"}
        if at_options and word in {"-q", "-d", "-L"}:
            yield word + " "
            continue
        is_value = at_options and _wants_value(word)
        yield word


def _wants_value(word: str) -> bool:
    """Whether the value of the last letter is the next word."""
    wanting = [at for at, letter in enumerate(word) if at and f"{letter}:" in LETTERS]
    return bool(wanting) and wanting[0] == len(word) - 1


def _apply(options: Options, letter: str, value: str) -> None:
    match letter:
        case "B":
            if value.upper() not in {"8BITMIME", "7BIT"}:
                raise Stop("-B option needs 8BITMIME or 7BIT")
            options.encoding = value.upper()
        case "n":
            raise Stop("-n option not supported")
        case "X" if value.startswith("V"):
            options.verp = value[1:]
        case "I":
            options.mode = "i"
        case "i":
            options.dot_ends = False
        case "t":
            options.extracts = True
        case "v":
            options.verbose += 1
        case _:
            if (apply := WITH_VALUE.get(letter)) is not None:
                apply(options, value)


def _config_directory(options: Options, value: str) -> None:
    options.config_directory = value


def _fullname(options: Options, value: str) -> None:
    options.fullname = value


def _sender(options: Options, value: str) -> None:
    options.sender = value


def _notify(options: Options, value: str) -> None:
    mask, is_good = 0, True
    for word in re.split(r"[,\s]+", value.strip()):
        number = NOTIFY.get(word.lower(), 0)
        if not number:
            warn(f'unknown DSN NOTIFY command value "{word}" in "{value}"')
        is_good = is_good and bool(number)
        mask |= number
    if not is_good or (mask & NOTIFY["never"] and mask != NOTIFY["never"]):
        warn("bad -N option value -- ignored")
        return
    options.notify = mask


def _ret(options: Options, value: str) -> None:
    if value.lower() not in {"full", "hdrs"}:
        warn("bad -R option value -- ignored")
        return
    options.ret = value.upper()


def _envid(options: Options, value: str) -> None:
    if not (value.isprintable() and value.isascii() and len(value) <= ENVID_LIMIT):
        warn("bad -V option value -- ignored")
        return
    options.envid = value


def _mode(options: Options, value: str) -> None:
    if value[:1] not in MODES:
        raise Stop(f"unsupported: -b{value[:1]}")
    options.mode = value[:1]


def _queue(options: Options, value: str) -> None:
    if value.startswith("S"):
        raise Stop("-qS is not implemented")
    if options.mode == "d":
        warn("ignoring -q option in daemon mode")
        return
    options.queue = value.strip()
    options.queue_id = value[1:] if value.startswith("I") else ""
    options.site = value[1:] if value.startswith("R") else ""


def _old_option(options: Options, value: str) -> None:
    """-o with Sendmail's old letters; most of them are about things that are not here."""
    if value.startswith("i"):
        options.dot_ends = False
    elif value.startswith("A"):
        options.alias_file = value[1:]
    elif value[:1] in {"7", "8"}:
        options.encoding = "7BIT" if value[0] == "7" else "8BITMIME"


def _long_option(options: Options, value: str) -> None:
    """-O name=value, Sendmail's long names."""
    name, _, text = value.partition("=")
    if name.lower() == "ignoredots":
        options.dot_ends = text[:1].lower() in {"f", "n", "0"}
    elif name.lower() == "aliasfile":
        options.alias_file = text


WITH_VALUE: dict[str, Callable[[Options, str], None]] = {
    "C": _config_directory,
    "F": _fullname,
    "N": _notify,
    "O": _long_option,
    "R": _ret,
    "V": _envid,
    "b": _mode,
    "f": _sender,
    "o": _old_option,
    "q": _queue,
    "r": _sender,
}


# -- what is done


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
        raise Stop(str(problem)) from None
    loaded.append(settings)
    if trouble is not None:
        raise trouble
    return _do(options, settings)


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


def _do(options: Options, settings: Settings) -> int:
    if options.extracts and options.mode == "v":
        raise Stop("-t option cannot be used with -bv")
    if options.extracts and options.mode != "m":
        raise Stop("-t can be used only in delivery mode")
    if options.queue is not None and options.mode == "m" and not options.recipients and not options.extracts:
        return _flush(options, settings)
    if options.mode in NEEDS_NO_RECIPIENT and options.recipients:
        raise Stop(f"{NEEDS_NO_RECIPIENT[options.mode]} mode requires no recipient")
    match options.mode:
        case "p":
            return _other("postqueue", ["-c", settings.config_directory, "-p"])
        case "i":
            return _newaliases(options, settings)
        case "d":
            return _other("postfix", ["-c", settings.config_directory, "start"])
        case "s":
            from posthouse.receive import stdin_session

            return stdin_session.serve(settings, sys.stdin.buffer, sys.stdout.buffer)
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

        found = recipients_of(start[: end_of_header(start)])
        if not found:
            raise Stop(f"{who}: No recipient addresses found in message header")
        recipients = [*recipients, *found]
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
    if not _is_listed(settings.items("authorized_submit_users"), entry.pw_name):
        raise Stop(f"User {entry.pw_name}({uid}) is not allowed to submit mail", EX_UNAVAILABLE)
    return entry


def _is_listed(words: tuple[str, ...], name: str) -> bool:
    """authorized_submit_users for its usual values; a table is asked by pickup."""
    if "static:anyone" in words:
        return True
    for word in words:
        if word == name or (":" in word and not word.startswith("!")):
            return True
        if word == f"!{name}":
            return False
    return False


def _sender_of(options: Options, login: pwd.struct_passwd) -> str:
    if options.sender is None:
        return login.pw_name
    if not options.sender:
        return login.pw_name
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
    if len(options.verp) != 2 or any(letter not in VERP_CHARACTERS for letter in options.verp):
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
        raise Stop(f"{who}: message file too big", EX_UNAVAILABLE) from None
    except OSError as trouble:
        raise Stop(f"{who}: cannot leave the message in {queue_directory}/maildrop: {trouble.strerror}") from None
    maildrop.wake_pickup(queue_directory)


if __name__ == "__main__":
    sys.exit(main())
