"""The server's side of the SMTP command dialogue (RFC 5321): command lines and replies, as values (smtpd(8)).

Parameters of MAIL and RCPT: SIZE (RFC 1870), 8BITMIME (RFC 6152), DSN (RFC 3461), SMTPUTF8 (RFC 6531), XVERP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from posthouse.mail.envelope import Notify
from posthouse.mail.status import Status

_TOKEN = re.compile(r'(?:[^\s<>"\\]|\\.|"(?:[^"\\]|\\.)*"?|<(?:[^<>"\\]|\\.|"(?:[^"\\]|\\.)*"?)*>?|>)+')
_XTEXT_ESCAPE = re.compile(r"\+([0-9A-Fa-f]{2})")
_XTEXT = re.compile(r"(?:[!-*,-~\x80-\U0010ffff]|\+[0-9A-Fa-f]{2})*\Z")
_NOTIFY = {"NEVER": Notify.NEVER, "SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}
MAX_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a command. lines come before status.text in a reply of several lines; closes ends the session."""

    status: Status
    lines: tuple[str, ...] = ()
    closes: bool = False
    is_error: bool = False  # counts as a failed command although the code says success

    def wire(self, footer: str = "") -> bytes:
        """The reply as it is sent; footer is smtpd_reject_footer with its $names expanded."""
        status = self.status
        prefix = f"{status.dsn} " if status.dsn else ""
        if not self.lines and not footer:
            return f"{status.code} {prefix}{status.text}\r\n".encode("utf-8", "surrogateescape")
        text = [*self.lines, status.text]
        if footer and status.code >= 400:
            text = add_footer(text, footer)
        head = "".join(f"{status.code}-{prefix}{line}\r\n" for line in text[:-1])
        return f"{head}{status.code} {prefix}{text[-1]}\r\n".encode("utf-8", "surrogateescape")


def add_footer(text: list[str], footer: str) -> list[str]:
    r"""smtpd_reject_footer: "\n" begins another line, "\c" at the start goes on with the reply's own line."""
    joined = footer.startswith("\\c")
    lines = footer.removeprefix("\\c").split("\\n")
    if joined:
        return [*text[:-1], text[-1] + lines[0], *lines[1:]]
    return [*text, *lines]


def ok(text: str, dsn: str = "2.0.0", code: int = 250) -> Reply:
    """A success."""
    return Reply(Status(dsn, code, text))


def refuse(code: int, dsn: str, text: str, *, closes: bool = False) -> Reply:
    """A failure; dsn "" where Postfix gives no enhanced code."""
    return Reply(Status(dsn, code, text), closes=closes)


def refusal(status: Status, *, closes: bool = False) -> Reply:
    """Policy's refusal as a reply."""
    return Reply(status, closes=closes or status.code in (421, 521))


def softened(reply: Reply) -> Reply:
    """soft_bounce: what is refused for good is refused for now."""
    status = reply.status
    dsn = f"4{status.dsn[1:]}" if status.dsn else ""
    return replace(reply, status=replace(status, code=status.code - 100, dsn=dsn))


class CommandSyntax(ValueError):
    """A command's parameters are wrong; reply says how, warning is for the log ("" none)."""

    def __init__(self, reply: Reply, warning: str = "") -> None:
        super().__init__(reply.status.text)
        self.reply, self.warning = reply, warning


def split_words(line: str) -> list[str]:
    """The words of a command line; white space inside quotes and <> does not separate."""
    if '"' not in line and "<" not in line:
        return line.split()
    return _TOKEN.findall(line)


def address_words(arguments: str, keyword: str) -> list[str] | None:
    """[address, parameter, ...] of "FROM:<address> parameter ..."; None where the keyword or the address is missing.

    White space after the colon is taken (as Postfix does), before it is not.
    """
    if arguments[: len(keyword)].upper() != keyword:
        return None
    words = split_words(arguments[len(keyword) :])
    return words or None


def decode_xtext(text: str) -> str | None:
    """Xtext (RFC 3461, 4) decoded; None for bad syntax."""
    if not _XTEXT.match(text):
        return None
    if "+" not in text:
        return text
    raw = _XTEXT_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return raw


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What came with MAIL FROM. size is in bytes, 0 where not said; auth is AUTH= as it came;
    verp the two delimiters, "" none, "default".
    """

    size: int = 0
    body: str = ""
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    auth: str = ""
    verp: str | None = None


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """What came with RCPT TO."""

    notify: Notify = Notify.DEFAULT
    orcpt: str = ""


_BAD_NOTIFY = refuse(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
NO_MAIL_PARAMETERS = MailParameters()
NO_RCPT_PARAMETERS = RcptParameters()


def mail_parameters(words: list[str], *, dsn: bool, utf8: bool, verp: bool) -> MailParameters:
    """Parse MAIL's parameters; dsn, utf8 and verp say what this client was offered. Raises CommandSyntax."""
    if not words:
        return NO_MAIL_PARAMETERS
    found: dict[str, str | int | bool | None] = {}
    for word in words:
        name, _, value = word.partition("=")
        name = name.upper()
        if name == "SIZE" and "=" in word:
            found["size"] = _size(value)
        elif name == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            found["body"] = value.upper()
        elif name == "AUTH" and "auth" in found:
            raise CommandSyntax(refuse(503, "5.5.4", "Error: multiple AUTH= options"))
        elif name == "AUTH":
            found["auth"] = value
        elif name in ("RET", "ENVID") and dsn:
            found[name.lower()] = _dsn_parameter(name, value, name.lower() in found)
        elif word.upper() == "SMTPUTF8" and utf8:
            found["smtputf8"] = True
        elif name == "XVERP" and verp:
            found["verp"] = value or "default"
        else:
            raise CommandSyntax(refuse(555, "5.5.4", f"Unsupported option: {word}"))
    return MailParameters(**found)  # type: ignore[arg-type]


def _size(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise CommandSyntax(refuse(501, "5.5.4", "Bad message size syntax"))
    size = int(value) if len(value) < 30 else MAX_OFFSET + 1
    if size > MAX_OFFSET:
        raise CommandSyntax(refuse(552, "5.3.4", "Message size exceeds file system imposed limit"))
    return size


def _dsn_parameter(name: str, value: str, seen: bool) -> str:
    if name == "RET":
        if value.upper() in ("FULL", "HDRS") and not seen:
            return value.upper()
    else:
        decoded = decode_xtext(value)
        if decoded and not seen and decoded.isprintable():
            return decoded
    raise CommandSyntax(refuse(501, "5.5.4", f"Bad {name} parameter syntax"))


def rcpt_parameters(words: list[str], *, dsn: bool) -> RcptParameters:
    """Parse RCPT's parameters. Raises CommandSyntax."""
    if not words:
        return NO_RCPT_PARAMETERS
    notify, orcpt = Notify.DEFAULT, ""
    for word in words:
        name, _, value = word.partition("=")
        name = name.upper()
        if name == "NOTIFY" and dsn:
            if notify:
                raise CommandSyntax(_BAD_NOTIFY)
            notify = _notify(value)
        elif name == "ORCPT" and dsn:
            if orcpt:
                raise CommandSyntax(refuse(501, "5.5.4", "Error: Bad ORCPT parameter syntax"))
            orcpt = _orcpt(value)
        else:
            raise CommandSyntax(refuse(555, "5.5.4", f"Unsupported option: {word}"))
    return RcptParameters(notify, orcpt)


def _notify(value: str) -> Notify:
    mask = Notify.DEFAULT
    for word in value.replace(",", " ").split():
        flag = _NOTIFY.get(word.upper())
        if flag is None:
            raise CommandSyntax(_BAD_NOTIFY, f'unknown DSN NOTIFY command value "{word}" in "{value}"')
        mask |= flag
    if not mask or (mask & Notify.NEVER and mask != Notify.NEVER):
        raise CommandSyntax(_BAD_NOTIFY)
    return mask


def _orcpt(value: str) -> str:
    kind, semicolon, address = value.partition(";")
    decoded = decode_xtext(address)
    if not kind or not semicolon or decoded is None:
        raise CommandSyntax(refuse(501, "5.5.4", "Error: Bad ORCPT parameter syntax"))
    return f"{kind};{decoded}"
