"""May this client, this sender, this recipient? smtpd(8)'s access restrictions, list by list (SMTPD_ACCESS_README)."""

from __future__ import annotations

from posthouse.config.compatibility import relies_on_old_default
from posthouse.config.settings import Settings
from posthouse.mail.status import Status
from posthouse.maillog import compatibility
from posthouse.policy import check as names
from posthouse.policy.answer import Permit, Refuse, StopEvaluation, Unless
from posthouse.policy.build import build_list
from posthouse.policy.check import Check
from posthouse.policy.evaluate import RuleList, evaluate, weigh
from posthouse.policy.greylist.correspondents import learn_correspondent, prepare
from posthouse.policy.means import Means
from posthouse.policy.recipients import check_recipient_exists, check_sender_exists
from posthouse.policy.request import Request
from posthouse.policy.trace import Trace
from posthouse.policy.verdict import PASS, Verdict
from posthouse.services.house import House

_Answer = Permit | Refuse | None
_CLOSING = frozenset({421, 521})


class Gate:
    """The restrictions of one smtpd service. One per view of the settings; sessions share it.

    Each method answers for one command. With smtpd_delay_reject client, HELO and sender are judged at RCPT (or ETRN),
    anew for every recipient. Raises ConfigError when made, for tables that cannot be opened.
    """

    def __init__(self, settings: Settings, house: House, means: Means | None = None) -> None:
        self._means = means = means or Means(settings, house)
        self._delay = settings.flag("smtpd_delay_reject")
        checks_known = "no_unknown_recipient_checks" not in settings.items("receive_override_options")
        self._unlisted_sender = checks_known and settings.flag("smtpd_reject_unlisted_sender")
        self._unlisted_recipient = checks_known and settings.flag("smtpd_reject_unlisted_recipient")
        self._client = build_list(means, "smtpd_client_restrictions", "check_client_access")
        self._helo = build_list(means, "smtpd_helo_restrictions", "check_helo_access")
        self._sender = build_list(means, "smtpd_sender_restrictions", "check_sender_access")
        relay = build_list(means, "smtpd_relay_restrictions", "check_recipient_access")
        recipient = build_list(means, "smtpd_recipient_restrictions", "check_recipient_access")
        relay_first = settings.flag("smtpd_relay_before_recipient_restrictions")
        self._recipient = (relay, recipient) if relay_first else (recipient, relay)
        self._recipient_first_is_old = relies_on_old_default(settings, "smtpd_relay_before_recipient_restrictions")
        self._data = build_list(means, "smtpd_data_restrictions")
        self._end_of_data = build_list(means, "smtpd_end_of_data_restrictions")
        self._etrn = build_list(means, "smtpd_etrn_restrictions", "check_etrn_access")
        prepare(means)

    async def connect(self, request: Request, trace: Trace | None = None) -> Verdict:
        """A client has connected."""
        if self._delay:
            return PASS
        check = self._new_check(request, None, trace)
        return _verdict(await self._judge_client(check), check)

    async def helo(self, request: Request, trace: Trace | None = None) -> Verdict:
        """HELO or EHLO."""
        if self._delay:
            return PASS
        check = self._new_check(request, None, trace)
        self._recall(check, "client")
        return _verdict(await self._judge_helo(check), check)

    async def mail(self, request: Request, trace: Trace | None = None) -> Verdict:
        """MAIL FROM; a new transaction."""
        request.memory.pop("discarded", None)
        request.memory.pop("held", None)
        if self._delay:
            return PASS
        check = self._new_check(request, None, trace)
        self._recall(check, "helo")
        return _verdict(await self._judge_sender(check), check)

    async def rcpt(self, request: Request, trace: Trace | None = None) -> Verdict:
        """RCPT TO. Bare postmaster always gets through (RFC 5321, 4.5.1)."""
        if (request.recipient or "").lower() == "postmaster":
            return PASS
        check = self._new_check(request, request.recipient, trace)
        refusal: _Answer = None
        if self._delay:
            refusal = await self._judge_earlier_stages(check)
        else:
            self._recall(check, "sender")
        if not isinstance(refusal, Refuse):
            refusal = await self._judge_recipient(check)
        if self._means.house.greylist is not None and not isinstance(refusal, Refuse):
            await learn_correspondent(check)
        return _verdict(refusal, check)

    async def vrfy(self, request: Request, trace: Trace | None = None) -> Verdict:
        """VRFY: judged like a recipient."""
        return await self.rcpt(request, trace)

    async def etrn(self, request: Request, trace: Trace | None = None) -> Verdict:
        """ETRN."""
        check = self._new_check(request, None, trace)
        refusal: _Answer = None
        if self._delay:
            refusal = await self._judge_client(check)
            if not isinstance(refusal, Refuse):
                refusal = await self._judge_helo(check)
        else:
            self._recall(check, "helo")
        if not isinstance(refusal, Refuse):
            refusal = await self._ask(check, self._etrn, request.etrn_domain, names.ETRN)
            refusal = self._make_up(refusal, check)
        return _verdict(refusal, check)

    async def data(self, request: Request, trace: Trace | None = None) -> Verdict:
        """DATA."""
        if not self._data.rules:
            return PASS
        return await self._judge_message(request, self._data, "DATA", names.DATA, trace)

    async def end_of_data(self, request: Request, trace: Trace | None = None) -> Verdict:
        """The end of the content; request.size is its size."""
        if not self._end_of_data.rules:
            return PASS
        return await self._judge_message(request, self._end_of_data, "END-OF-MESSAGE", names.END_OF_DATA, trace)

    async def close(self) -> None:
        """Give back what is open; no command is under way."""
        await self._means.close()

    def _new_check(self, request: Request, recipient: str | None, trace: Trace | None) -> Check:
        check = Check(request, self._means, recipient, trace=trace)
        if "discarded" in request.memory:
            check.discarded = True
        return check

    @staticmethod
    def _recall(check: Check, stage: str) -> None:
        """What an earlier command has postponed."""
        earlier: Status | None = check.request.memory.get(stage)
        if earlier is not None:
            check.postponed[Unless.PERMIT] = earlier

    @staticmethod
    def _remember(check: Check, stage: str) -> None:
        earlier = check.postponed.get(Unless.PERMIT)
        if earlier is not None:
            check.request.memory[stage] = earlier
        else:
            check.request.memory.pop(stage, None)

    async def _ask(self, check: Check, rules: RuleList, subject: str, subject_class: str) -> _Answer:
        if not rules.rules:
            return None
        check.subject, check.subject_class = subject, subject_class
        check.default_access = _DEFAULT_ACCESS.get(subject_class, "")
        return await evaluate(rules, check)

    async def _judge_client(self, check: Check) -> _Answer:
        check.postponed.clear()
        answer = await self._ask(check, self._client, check.client, names.CLIENT)
        self._remember(check, "client")
        return answer

    async def _judge_helo(self, check: Check) -> _Answer:
        helo = check.request.helo_name
        answer = None
        if helo is not None:
            answer = await self._ask(check, self._helo, helo, names.HELO)
        self._remember(check, "helo")
        return answer

    async def _judge_sender(self, check: Check) -> _Answer:
        sender = check.request.sender
        if sender is None:
            check.postponed.pop(Unless.PERMIT, None)
            return None
        answer = await self._ask(check, self._sender, sender, names.SENDER)
        self._remember(check, "sender")
        if self._unlisted_sender and not (isinstance(answer, Refuse) or check.sender_looked_up or check.discarded):
            return await _guarded(check, check_sender_exists(check, sender))
        return answer

    async def _judge_earlier_stages(self, check: Check) -> _Answer:
        answer = await self._judge_client(check)
        if not isinstance(answer, Refuse):
            answer = await self._judge_helo(check)
        if not isinstance(answer, Refuse):
            answer = await self._judge_sender(check)
        return answer

    async def _judge_recipient(self, check: Check) -> _Answer:
        recipient = check.recipient or ""
        answer: _Answer = None
        for rules in self._recipient:
            answer = await self._ask(check, rules, recipient, names.RECIPIENT)
            if isinstance(answer, Refuse):
                if self._recipient_first_is_old and rules is self._recipient[0]:
                    check.means.log.info(compatibility.recipient_refused_first(recipient, check.client))
                return answer
        answer = self._make_up(answer, check)
        if isinstance(answer, Refuse) or not self._unlisted_recipient:
            return answer
        if check.recipient_looked_up or check.discarded or not recipient:
            return answer
        return await _guarded(check, check_recipient_exists(check, recipient))

    async def _judge_message(
        self, request: Request, rules: RuleList, subject: str, subject_class: str, trace: Trace | None
    ) -> Verdict:
        only_recipient = request.recipient if request.recipient_count <= 1 else None
        check = self._new_check(request, only_recipient, trace)
        answer = await self._ask(check, rules, subject, subject_class)
        return _verdict(self._make_up(answer, check), check)

    @staticmethod
    def _make_up(answer: _Answer, check: Check) -> _Answer:
        """Turn permission into the deferral that was postponed until here."""
        postponed = check.postponed.get(Unless.PERMIT)
        if isinstance(answer, Refuse) or postponed is None:
            return answer
        check.softened = False
        return weigh(Refuse(postponed), check)


_DEFAULT_ACCESS = {
    names.CLIENT: "check_client_access",
    names.HELO: "check_helo_access",
    names.SENDER: "check_sender_access",
    names.RECIPIENT: "check_recipient_access",
    names.ETRN: "check_etrn_access",
}


async def _guarded(check: Check, question: object) -> _Answer:
    """Ask outside a list, with the same bookkeeping."""
    check.softened = False
    try:
        return weigh(await question, check)  # type: ignore[misc]
    except StopEvaluation as stop:
        return Refuse(stop.status, is_our_trouble=True)


def _verdict(answer: _Answer, check: Check) -> Verdict:
    if check.discarded:
        check.request.memory["discarded"] = True
    refusal = answer.status if isinstance(answer, Refuse) else None
    if refusal is None and not check.notes and not check.actions:
        return PASS
    closes = refusal is not None and refusal.code in _CLOSING
    return Verdict(refusal, closes, tuple(check.actions), tuple(check.notes))
