"""The lines that smtpd(8) writes to the log; pflogsumm, fail2ban and log readers of all kinds parse them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_AUTH = re.compile(rb"(\bAUTH[ \t]+[^ \t\r\n]+[ \t\r\n]+)[^ \t\r\n]+.*", re.IGNORECASE | re.DOTALL)
COUNTED = (
    "helo", "ehlo", "xclient", "xforward", "starttls", "auth", "mail", "rcpt", "data", "bdat",
    "rset", "noop", "vrfy", "expn", "etrn", "quit",
)  # fmt: skip


def printable(text: str, limit: int = 0) -> str:
    """Text with what would damage the log replaced by "?"; limit bounds its length (0: not)."""
    if limit:
        text = text[:limit]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


def escaped(data: bytes, limit: int = 100) -> str:
    r"""Bytes as text with C escapes ("MAIL FROM:<a@b>\r\n")."""
    names = {13: "\\r", 10: "\\n", 9: "\\t", 8: "\\b", 12: "\\f", 7: "\\a", 11: "\\v", 92: "\\\\"}
    text = "".join(names.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data)
    return text[:limit]


def connect(client: str) -> str:
    return f"connect from {client}"


def no_proxy_header(why: str) -> str:
    """A load balancer has not named its client."""
    return f"haproxy read: {why}"


def disconnect(client: str, counts: Mapping[str, list[int]]) -> str:
    """counts: command -> [succeeded, in all]."""
    parts: list[str] = []
    good = total = 0
    for name in (*COUNTED, "unknown"):
        count = counts.get(name)
        if count is not None:
            good += count[0]
            total += count[1]
            parts.append(f" {name}={_ratio(count[0], count[1])}")
    shown = f"{good}/{total}" if not total else _ratio(good, total)
    return f"disconnect from {client}{''.join(parts)} commands={shown}"


def _ratio(good: int, total: int) -> str:
    return str(good) if good == total else f"{good}/{total}"


def lost_connection(client: str, where: str) -> str:
    return f"lost connection after {where} from {client}"


def timeout(client: str, where: str) -> str:
    return f"timeout after {where} from {client}"


def too_many_errors(client: str, where: str) -> str:
    return f"too many errors after {where} from {client}"


def improper_pipelining(client: str, where: str, data: bytes) -> str:
    return f"improper command pipelining after {where} from {client}: {escaped(without_secrets(where, data))}"


def without_secrets(where: str, data: bytes) -> bytes:
    """What a client sent ahead, less what may be a password."""
    return b"[...]" if where == "AUTH" else _AUTH.sub(rb"\1[...]", data)


def bare_newline(client: str, where: str) -> str:
    return f"disconnect: bare <LF> received after {where} from {client}"


def bare_newline_seen(client: str, where: str) -> str:
    return f"info: bare <LF> received after {where} from {client}"


def client(queue_id: str, name: str, slots: Mapping[str, str]) -> str:
    """The client line ("QID: client=...") with sasl and orig_ slots where they have a value."""
    rest = "".join(f", {key}={value}" for key, value in slots.items() if value)
    return f"{queue_id}: client={name}{rest}"


def note(kind: str, queue_id: str, where: str, client: str, text: str, about: str) -> str:
    """reject, warn, hold ... lines: "NOQUEUE: reject: RCPT from host[addr]: text; from=<> to=<> proto= helo="."""
    return f"{queue_id or 'NOQUEUE'}: {kind}: {where} from {client}: {text}{about}"


def about(sender: str | None, recipient: str | None, protocol: str | None, helo: str | None, sasl: str = "") -> str:
    """The end of a reject line."""
    parts: list[str] = []
    if sender is not None:
        parts.append(f" from=<{printable(sender)}>")
    if recipient is not None:
        parts.append(f" to=<{printable(recipient)}>")
    if protocol:
        parts.append(f" proto={protocol}")
    if helo is not None:
        parts.append(f" helo=<{printable(helo)}>")
    if sasl:
        parts.append(f" sasl_username=<{printable(sasl)}>")
    return f";{''.join(parts)}" if parts else ""


def bad_address(client: str, verb: str, text: str) -> str:
    return f"Illegal address syntax from {client} in {verb} command: {printable(text, 100)}"


def long_command(client: str, limit: int, line: str) -> str:
    shown = without_secrets("", line.encode("utf-8", "replace")).decode("utf-8", "replace")
    return f"{client}: request longer than {limit}: {printable(shown, 30)}..."


_KEYWORDS = (
    "8BITMIME", "VERP", "SIZE", "VRFY", "ETRN", "AUTH", "PIPELINING", "STARTTLS", "XCLIENT", "XFORWARD",
    "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING",
)  # fmt: skip


def keywords_discarded(keywords: Iterable[str]) -> str:
    """EHLO keywords that smtpd_discard_ehlo_keywords keeps from a client, in Postfix's order."""
    chosen = {word.upper() for word in keywords}
    return f"discarding EHLO keywords: {' '.join(word for word in _KEYWORDS if word in chosen)}"


def command_replaced(client: str, old: str, new: str) -> str:
    shown = [without_secrets("", text.encode("utf-8", "replace")).decode() for text in (old, new)]
    return f'{client}: replacing command "{printable(shown[0], 100)}" with "{printable(shown[1], 100)}"'


def not_smtp(client: str, line: bytes) -> str:
    return f"non-SMTP command from {client}: {escaped(line)}"


def etrn_refused(client: str, domain: str) -> str:
    return f"reject: ETRN {printable(domain)}... from {client}"


def bad_bdat(queue_id: str, client: str, line: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: malformed BDAT command syntax from {client}: {printable(line, 100)}"


def null_bdat(queue_id: str, client: str) -> str:
    return f"{queue_id or 'NOQUEUE'}: null BDAT request from {client}"


def too_big(queue_id: str) -> str:
    return f"{queue_id}: queue file size limit exceeded"


def limit_exceeded(what: str, count: int, client: str, service: str) -> str:
    """What is "Connection concurrency", "Message delivery request rate" ..."""
    return f"{what} limit exceeded: {count} from {client} for service {service}"


def key_file_not_opened(file: str, why: str) -> str:
    """A file of keys or certificates that is missing."""
    return f"error opening chain file: {file}: {why}"


def stronger_tls_level(word: str) -> str:
    """A level that makes sense for clients only."""
    return f'smtpd_tls_security_level: unsupported TLS level "{word}", using "encrypt"'


def tls_not_begun(how: str, client: str, service: str) -> str:
    """A client that asks for too many TLS sessions; how is "STARTTLS", or "TLS service" in wrapper mode."""
    return f"Refusing {how} request from {client} for service {service}"


def login_over_limit(login: str, what: str, rate: str) -> str:
    """What is "message" or "recipient", rate "11/60s"; why a login's mail is held or deferred."""
    return f"<{printable(login, 100)}>: SASL login name exceeds its {what} rate limit: {rate}"


def login_failed(client: str, mechanism: str, reason: str, user: str) -> str:
    """fail2ban's stock filter reads this line."""
    about = f"SASL {printable(mechanism, 100)} authentication failed: {printable(reason, 300)}"
    return f"{client}: {about}, sasl_username={printable(user, 100) or '(unavailable)'}"


def login_unanswered(client: str, mechanism: str, reason: str) -> str:
    """Why nobody could say whether the password is right."""
    return f"{client}: SASL {printable(mechanism, 100)}: {printable(reason, 300)}"


def login_aborted(client: str, mechanism: str) -> str:
    return f"{client}: SASL {printable(mechanism, 100)} authentication aborted"


def tls_established(trust: str, client: str, session: str, name: str = "") -> str:
    """Trust is "Anonymous", "Untrusted" or "Trusted"; name is one of tls_server_sni_maps that chose it."""
    to = f" to {printable(name, 255)}" if name else ""
    return f"{trust} TLS connection established from {client}{to}: {session}"


def tls_name_not_matched(name: str, client: str) -> str:
    return f"TLS SNI {printable(name, 255)} from {client} not matched, using default chain"


def tls_failed(client: str, reason: str) -> str:
    """Reason is "-1" where the TLS library says what is wrong in a line of its own."""
    return f"SSL_accept error from {client}: {reason}"


def tls_refused(client: str, reason: str) -> str:
    return f"NOQUEUE: abort: TLS from {client}: {reason}"


def wrapper_dropped(client: str, service: str) -> str:
    text = "TLS context initialization failed. For details see earlier warnings in your logs."
    return f"Wrapper-mode request dropped from {client} for service {service}. {text}"
