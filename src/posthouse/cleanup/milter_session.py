"""Which milters see a message in cleanup(8): smtpd's own, or those of non_smtpd_milters, for which an SMTP session is
acted (MILTER_README); and what becomes of their rulings.
"""

from __future__ import annotations

import re

from posthouse.cleanup.work import Work
from posthouse.errors import PermanentFailure, TemporaryFailure
from posthouse.filters.milter import Effect, MacroSource, Ruling
from posthouse.filters.milters import Milters
from posthouse.mail.address import quote_address
from posthouse.mail.status import Status
from posthouse.maillog import milter as maillog
from posthouse.maillog import smtpd as smtpd_lines
from posthouse.services.intake import Skip

_REPLY = re.compile(r"([45][0-9]{2})[ -]?(?:([45]\.[0-9]{1,3}\.[0-9]{1,3})[ \t]+)?(.*)", re.DOTALL)
_HOST, _ADDRESS = "localhost", "127.0.0.1"


async def tell_envelope(work: Work) -> None:
    """Let milters know who sends the message, and to whom. A refusal is kept for the end of the header."""
    submission = work.submission
    if isinstance(submission.milters, Milters):
        work.milters = submission.milters
        work.milters.speak_for(None, work.log)
        return
    plan = work.rules.milters
    if plan is None or not plan.rules or submission.skip & Skip.MILTERS:
        return
    about: dict[str, str] = {}
    work.milters = Milters(plan.rules, plan.lists, _macros(work, about), work.log)
    try:
        await _act(work, work.milters, about)
    except (TemporaryFailure, PermanentFailure) as refused:
        work.refusal, work.unchecked = refused, True


async def _act(work: Work, milters: Milters, about: dict[str, str]) -> None:
    """The session that the message did not come in: connection, HELO, MAIL, RCPT and DATA."""
    origin = work.submission.envelope.origin
    name, address = client_of(work)
    shown = "" if name == "unknown" else name
    obey(work, await milters.connect(shown, address, origin.client_port or "0"), "CONNECT")
    obey(work, await milters.helo(origin.helo_name or name), "HELO")
    about["{mail_addr}"] = work.sender
    obey(work, await milters.mail((work.sender,)), "MAIL")
    for recipient in work.submission.envelope.recipients:
        if work.discard:
            return
        known = await work.rewriter.rewrite("local", recipient.address)
        about["{rcpt_addr}"] = known
        ruling = await milters.rcpt((known,))
        if ruling is not None and ruling.effect in (Effect.REFUSE, Effect.CLOSE):
            raise _not_refusable(work, ruling, known)
        obey(work, ruling, "RCPT", known)
    if not work.discard:
        obey(work, await milters.data(), "DATA", about.get("{rcpt_addr}"))


def _not_refusable(work: Work, ruling: Ruling, recipient: str) -> Exception:
    """Nobody waits to hear that a single recipient is refused: the mail waits for the configuration to be mended."""
    note(work, Effect.REFUSE.value, "RCPT", ruling.reply[4:], recipient)
    work.log.warning(maillog.recipient_not_refusable(work.queue_id))
    work.log.warning(maillog.not_accepted(work.queue_id))
    return work.refuse("4.3.0", 451, "Error: queue file write error")


def obey(work: Work, ruling: Ruling | None, where: str, recipient: str | None = None) -> None:
    """Do as a milter says. Raises TemporaryFailure or PermanentFailure for a message that it refuses."""
    if ruling is None:
        return
    match ruling.effect:
        case Effect.HOLD:
            if not work.hold:
                note(work, ruling.effect.value, where, maillog.HOLD, recipient)
            work.hold = True
        case Effect.DISCARD:
            note(work, ruling.effect.value, where, maillog.DISCARD, recipient)
            work.discard = True
        case Effect.REFUSE | Effect.CLOSE:
            note(work, Effect.REFUSE.value, where, ruling.reply[4:], recipient)
            raise _refusal(work, ruling.reply)


def _refusal(work: Work, reply: str) -> TemporaryFailure | PermanentFailure:
    """The receiver answers as the milter does; mail that nobody waits for needs an enhanced code of some kind."""
    found = _REPLY.match(reply)
    code = int(found[1]) if found is not None else 451
    if found is None or ("\r\n" in reply and work.submission.milters is not None):
        status = Status("", code, reply)
    else:
        dsn = found[2] or ("" if work.submission.milters is not None else f"{found[1][0]}.7.1")
        status = Status(dsn, code, found[3].replace("\r\n", " "))
    return TemporaryFailure(status) if code < 500 else PermanentFailure(status)


def note(work: Work, action: str, where: str, text: str, recipient: str | None) -> None:
    """A milter- line in the log."""
    name, address = client_of(work)
    origin = work.submission.envelope.origin
    about = smtpd_lines.about(
        quote_address(work.sender),
        None if recipient is None else quote_address(recipient),
        origin.protocol_name if origin.client_address else None,
        origin.helo_name if origin.client_address and origin.helo_name else None,
    )
    work.log.info(
        smtpd_lines.note(action, work.queue_id, where, f"{name}[{address}]", smtpd_lines.printable(text), about)
    )


def client_of(work: Work) -> tuple[str, str]:
    """Name and address of the client; mail from here comes from localhost."""
    origin = work.submission.envelope.origin
    return (origin.client_name or "unknown", origin.client_address) if origin.client_address else (_HOST, _ADDRESS)


def end_session(work: Work) -> None:
    """Milters that were asked for this message alone are let go; smtpd keeps its own."""
    if work.milters is not None and work.milters is not work.submission.milters:
        work.milters.disconnect(abort=False)
        work.milters = None


def _macros(work: Work, about: dict[str, str]) -> MacroSource:
    """What is known of a message that came otherwise than by SMTP."""
    settings, origin = work.rules.settings, work.submission.envelope.origin
    name, address = client_of(work)
    values = {
        "j": work.rules.myhostname,
        "i": work.queue_id,
        "_": f"{origin.reverse_client_name or name} [{address}]",
        "v": settings.text("milter_macro_v"),
        "{daemon_name}": settings.text("milter_macro_daemon_name"),
        "{daemon_addr}": origin.server_address or _ADDRESS,
        "{daemon_port}": origin.server_port or "0",
        "{client_name}": name,
        "{client_addr}": address,
        "{client_port}": origin.client_port or "0",
        "{client_ptr}": origin.reverse_client_name or name,
        "{auth_type}": origin.sasl_method or None,
        "{auth_authen}": origin.sasl_username or None,
        "{auth_author}": origin.sasl_sender or None,
    }
    return lambda macro: about.get(macro, values.get(macro))
