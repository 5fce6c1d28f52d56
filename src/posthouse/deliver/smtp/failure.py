"""Why a server did not take the mail, in the words of Postfix's log and reports."""

from __future__ import annotations

from posthouse.deliver.smtp.connection import ConnectionLost, TimedOut
from posthouse.deliver.smtp.peer import Peer
from posthouse.errors import PosthouseError, ProtocolError
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import Status
from posthouse.protocols.smtp_client import ServerReply

GREETING = "receiving the initial server greeting"
MAIL, RCPT, DATA, END_OF_DATA = "MAIL FROM", "RCPT TO", "DATA", "end of DATA"


def said(peer: Peer, reply: ServerReply, command: str) -> Deferred | Bounced:
    """A reply that refuses; command is what it answers ("RCPT TO")."""
    text = f"host {peer.shown} said: {reply.said} (in reply to {command} command)"
    return _refusal(peer, reply, text, permanent=reply.is_permanent)


def refused_to_talk(peer: Peer, reply: ServerReply, *, permanent: bool) -> Deferred | Bounced:
    """A refusal before there was a transaction. permanent False: a 5xx reply counts as "not now"."""
    return _refusal(peer, reply, f"host {peer.shown} refused to talk to me: {reply.said}", permanent=permanent)


def refused_tls(peer: Peer, reply: ServerReply) -> Deferred | Bounced:
    """STARTTLS was offered, is indispensable, and was refused all the same."""
    text = f"TLS is required, but host {peer.shown} refused to start TLS: {reply.said}"
    return _refusal(peer, reply, text, permanent=reply.is_permanent)


def _refusal(peer: Peer, reply: ServerReply, text: str, *, permanent: bool) -> Deferred | Bounced:
    first = "5" if permanent else "4"
    dsn = f"{first}.{reply.dsn[2:]}" if reply.dsn else f"{first}.0.0"
    kind = Bounced if permanent else Deferred
    return kind(Status(dsn, reply.code, text), peer.relay, peer.name, f"smtp; {reply.said}")


def broken(peer: Peer, error: PosthouseError, phase: str) -> Deferred:
    """The conversation ended in the middle. phase is what was being done ("sending RCPT TO")."""
    match error:
        case ConnectionLost():
            status = Status("4.4.2", 0, f"lost connection with {peer.shown} while {phase}")
        case TimedOut():
            status = Status("4.4.2", 0, f"conversation with {peer.shown} timed out while {phase}")
        case ProtocolError():
            status = Status("4.5.0", 0, f"protocol error: host {peer.shown} said: {error} while {phase}")
        case _:
            status = Status("4.3.0", 0, f"{error} while {phase} with {peer.shown}")
    return Deferred(status, peer.relay, peer.name)


def no_connection(peer: Peer, error: OSError) -> Deferred:
    """connect() failed."""
    why = "Connection timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error))
    where = peer.shown if peer.path else peer.relay
    return Deferred(Status("4.4.1", 0, f"connect to {where}: {_plain(why)}"))


def _plain(why: str) -> str:
    """The system's words where the event loop adds its own ("Connect call failed ...")."""
    for words in ("Connection refused", "No route to host", "Network is unreachable", "No such file or directory"):
        if words.lower() in why.lower():
            return words
    return "Connection refused" if "connect call failed" in why.lower() else why
