"""From what SPF says and the options of policyd-spf.conf to what becomes of the mail; pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.policy.spf.header import Mail, authentication_results, received_spf
from posthouse.policy.spf.options import SpfOptions
from posthouse.policy.spf.result import SpfResult

DUNNO = "dunno"
WHY = "http://www.openspf.net/Why?"


@dataclass(frozen=True, slots=True)
class Fate:
    """action for the mail server. is_final: the mail is refused, or let in by a restriction of the file's own."""

    action: str
    is_final: bool


def judge_helo(options: SpfOptions, found: SpfResult, mail: Mail) -> Fate | None:
    """What the HELO name leads to by itself; None where the sender is to be asked about."""
    if found.result == "pass" and options.HELO_pass_restriction:
        return Fate(options.HELO_pass_restriction, is_final=True)
    mode = options.HELO_reject
    if mode == "Null":
        mode = "Fail" if not mail.sender else "False"
    return _judge(options, mode, found, mail)


def judge_sender(options: SpfOptions, found: SpfResult, mail: Mail) -> Fate | None:
    """What the sender leads to; None where the mail may come in."""
    if found.result == "pass" and options.Mail_From_pass_restriction:
        return Fate(options.Mail_From_pass_restriction, is_final=True)
    if found.result in ("neutral", "softfail") and found.domain.lower() in options.Reject_Not_Pass_Domains:
        text = f"Receiver policy for SPF {found.result.capitalize()}"
        return _refusal(options, found, mail, text)
    return _judge(options, options.Mail_From_reject, found, mail)


def header(options: SpfOptions, helo: SpfResult | None, sender: SpfResult | None, mail: Mail) -> str:
    """The field for a message: about the sender, or about the HELO name where only that has something to say."""
    found = sender
    if found is None or (found.result == "none" and helo is not None and helo.result not in ("none", "temperror")):
        found = helo
    if found is None or options.Header_Type == "None":
        return ""
    if options.Header_Type == "AR":
        return authentication_results(found, mail, options.Authserv_Id)
    return received_spf(found, mail)


_REFUSED = {
    "Fail": ("fail",),
    "Softfail": ("fail", "softfail"),
    "SPF_Not_Pass": ("fail", "softfail", "neutral"),
}


def _judge(options: SpfOptions, mode: str, found: SpfResult, mail: Mail) -> Fate | None:
    if mode in ("False", "No_Check", "Null"):
        return None
    result = found.result
    if result in _REFUSED[mode] and (not options.No_Mail or (result == "fail" and found.sends_nothing)):
        return _refusal(options, found, mail, found.text)
    if result == "permerror" and options.PermError_reject:
        return _refusal(options, found, mail, found.text)
    if result == "temperror" and options.TempError_Defer:
        return _refusal(options, found, mail, found.text)
    return None


def _refusal(options: SpfOptions, found: SpfResult, mail: Mail, text: str) -> Fate:
    if not options.TestOnly:
        return Fate(DUNNO, is_final=True)
    is_later = found.result == "temperror"
    if options.SPF_Enhanced_Status_Codes:  # RFC 7372
        dsn = " 5.7.24" if found.result == "permerror" else " 4.7.24" if is_later else " 5.7.23"
    else:
        dsn = ""
    who = f"s=helo;id={mail.helo}" if found.identity == "helo" else f"s=mfrom;id={mail.sender}"
    url = f"{WHY}{who};ip={mail.client};r={mail.receiver}"
    words = {"rejectdefer": "deferred" if is_later else "rejected", "spf": text, "url": url}
    code = "450" if is_later else "550"
    return Fate(f"{code}{dsn} {fill_in(options.Reason_Message, words)}", is_final=True)


def fill_in(template: str, words: dict[str, str]) -> str:
    """The template with {name} replaced; other braces stay as they are."""
    for name, value in words.items():
        template = template.replace(f"{{{name}}}", value)
    return template
