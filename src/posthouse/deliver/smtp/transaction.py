"""One mail transaction: MAIL, RCPT, DATA and what the server says to each (RFC 5321, 3.3; RFC 2033 for LMTP)."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.connection import Connection
from posthouse.deliver.smtp.content import WireContent
from posthouse.errors import PosthouseError
from posthouse.mail.address import quote_address
from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent
from posthouse.mail.status import Status
from posthouse.protocols.smtp_client import ServerReply, xtext
from posthouse.services.delivery import Target

_NO_SMTPUTF8 = "5.6.7"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for each answer, in seconds (smtp_mail_timeout and its kin)."""

    xforward: float
    mail: float
    rcpt: float
    data_init: float
    data_transfer: float
    data_done: float
    rset: float


@dataclass(frozen=True, slots=True)
class EnvelopeRules:
    """How the envelope is said. quotes: local parts are quoted where RFC 5321 asks for it. dummy_auth: MAIL FROM has
    AUTH=<>. probes_with_data: a probe goes on to DATA, and ends the connection there.
    """

    lmtp: bool
    quotes: bool = True
    dummy_auth: bool = False
    probes_with_data: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent: an envelope for these targets, and the content."""

    queue_id: str
    envelope: Envelope
    targets: tuple[Target, ...]
    content: WireContent
    xforward: bool


@dataclass(slots=True)
class Exchange:
    """What came of it: outcomes by index of the recipient. usable: the connection may serve another transaction.

    uncertain: the content was sent and no answer came; the server may have taken it (RFC 1047).
    """

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    usable: bool = True
    uncertain: bool = False


class Transaction:
    """One letter over one connection."""

    def __init__(self, connection: Connection, letter: Letter, limits: Limits, rules: EnvelopeRules) -> None:
        self._connection, self._letter, self._limits, self._rules = connection, letter, limits, rules
        self._features, self._peer = connection.features, connection.peer
        self._phase = "sending MAIL FROM"
        self._exchange = Exchange()
        self._accepted: list[Target] = []

    async def run(self) -> Exchange:
        """Every target has an outcome afterwards."""
        self._connection.uses += 1
        unfit = self._size_refusal() or self._utf8_refusal()
        if unfit:
            self._all(unfit)
            self._exchange.usable = unfit.status.dsn == _NO_SMTPUTF8
            return self._exchange
        try:
            await self._transact()
        except PosthouseError as error:
            self._exchange.usable = False
            self._exchange.uncertain = "end of data" in self._phase
            self._all(failure.broken(self._peer, error, self._phase))
        return self._exchange

    def _all(self, outcome: Outcome) -> None:
        """The outcome for every target that has none yet."""
        for target in self._letter.targets:
            self._exchange.outcomes.setdefault(target.index, outcome)

    def _size_refusal(self) -> Bounced | None:
        limit, size = self._features.size, self._letter.content.size
        if not limit or size <= limit:
            return None
        text = f"message size {size} exceeds size limit {limit} of server {self._peer.shown}"
        return Bounced(Status("5.3.4", 0, text), self._peer.relay)

    def _utf8_refusal(self) -> Bounced | None:
        """Addresses or a header beyond ASCII cannot go to a server without SMTPUTF8 (RFC 6531, 3.2)."""
        envelope = self._letter.envelope
        if not envelope.smtputf8 or self._features.smtputf8:
            return None
        addresses = [envelope.sender, *(target.recipient.address for target in self._letter.targets)]
        if all(map(str.isascii, addresses)) and self._letter.content.has_ascii_header:
            return None
        text = f"SMTPUTF8 is required, but was not offered by host {self._peer.shown}"
        return Bounced(Status(_NO_SMTPUTF8, 0, text), self._peer.relay)

    async def _transact(self) -> None:
        probing = bool(self._letter.envelope.trace & (Trace.REPORT_ONLY | Trace.PROBE))
        if self._letter.xforward and self._features.xforward:
            await self._send_xforward()
        data_reply = await (self._pipelined(probing) if self._features.pipelining else self._one_by_one(probing))
        if data_reply is None and probing and self._rules.probes_with_data:
            await self._probe_data()
        elif data_reply is None:
            await self._reset()
        elif data_reply.code == 354:
            await self._send_content()
        else:
            refused = failure.said(self._peer, data_reply, failure.DATA)
            self._all(refused)
            await self._reset()

    # the envelope

    async def _pipelined(self, probing: bool) -> ServerReply | None:
        commands = [self._mail_command(), *(self._rcpt_command(t.recipient) for t in self._letter.targets)]
        if not probing:
            commands.append("DATA")
        self._connection.send(_lines(commands))
        mail = await self._connection.reply(self._limits.mail)
        self._phase = "sending RCPT TO"
        for target in self._letter.targets:
            self._note_recipient(target, await self._connection.reply(self._limits.rcpt), probing)
        if not mail.is_positive:
            self._exchange.outcomes.clear()
            self._accepted.clear()
            self._all(failure.said(self._peer, mail, failure.MAIL))
        if probing:
            return None
        self._phase = "sending DATA command"
        return await self._connection.reply(self._limits.data_init)

    async def _one_by_one(self, probing: bool) -> ServerReply | None:
        reply = await self._say(self._mail_command(), self._limits.mail)
        if not reply.is_positive:
            self._all(failure.said(self._peer, reply, failure.MAIL))
            return None
        self._phase = "sending RCPT TO"
        for target in self._letter.targets:
            reply = await self._say(self._rcpt_command(target.recipient), self._limits.rcpt)
            self._note_recipient(target, reply, probing)
        if probing or not self._accepted:
            return None
        self._phase = "sending DATA command"
        return await self._say("DATA", self._limits.data_init)

    async def _probe_data(self) -> None:
        """See whether DATA would be taken, and go away without sending any (smtp_address_verify_target = data)."""
        outcomes = self._exchange.outcomes
        if any(isinstance(outcome, Sent) for outcome in outcomes.values()):
            self._phase = "sending DATA command"
            reply = await self._say("DATA", self._limits.data_init)
            if reply.code != 354:
                refused = failure.said(self._peer, reply, failure.DATA)
                self._exchange.outcomes = {i: refused if isinstance(o, Sent) else o for i, o in outcomes.items()}
        self._exchange.usable = False

    def _note_recipient(self, target: Target, reply: ServerReply, probing: bool) -> None:
        if not reply.is_positive:
            self._exchange.outcomes[target.index] = failure.said(self._peer, reply, failure.RCPT)
        elif probing:
            status = Status(reply.dsn or "2.0.0", reply.code, reply.said)
            self._exchange.outcomes[target.index] = Sent(
                status, self._peer.relay, deliverable=True, remote_mta=self._peer.name
            )
        else:
            self._accepted.append(target)

    def _mail_command(self) -> str:
        envelope, features = self._letter.envelope, self._features
        words = [f"MAIL FROM:<{self._said(envelope.sender)}>"]
        if features.size is not None:
            words.append(f"SIZE={self._letter.content.size}")
        if features.eight_bit_mime and envelope.encoding:
            words.append(f"BODY={envelope.encoding}")
        if features.dsn:
            words += [f"ENVID={xtext(envelope.envid)}"] if envelope.envid else []
            words += [f"RET={envelope.ret}"] if envelope.ret else []
        if features.smtputf8 and envelope.smtputf8:
            words.append("SMTPUTF8")
        if self._rules.dummy_auth and features.auth:
            words.append("AUTH=<>")
        return " ".join(words)

    def _said(self, address: str) -> str:
        return quote_address(address) if self._rules.quotes else address

    def _rcpt_command(self, recipient: Recipient) -> str:
        words = [f"RCPT TO:<{self._said(recipient.address)}>"]
        if self._features.dsn:
            if recipient.orcpt:
                kind, _, address = recipient.orcpt.partition(";")
                words.append(f"ORCPT={kind};{xtext(address)}")
            if recipient.notify:
                names = [flag.name or "" for flag in Notify if flag and flag in recipient.notify]
                words.append(f"NOTIFY={','.join(names)}")
        return " ".join(words)

    async def _send_xforward(self) -> None:
        origin, offered = self._letter.envelope.origin, self._features.xforward
        self._phase = "sending XFORWARD name/address"
        name = "" if origin.client_name == "unknown" else origin.client_name
        first = {"NAME": name, "ADDR": origin.client_address, "PORT": origin.client_port}
        rest = {
            "PROTO": origin.protocol_name,
            "HELO": origin.helo_name,
            # Differs from Postfix: mail from this host has one, too.
            "IDENT": origin.identifier or self._letter.queue_id,
            "SOURCE": origin.source,
        }
        for attributes in (first, rest):
            known = [(key, value) for key, value in attributes.items() if value and key in offered]
            words = [f"{key}={value if key == 'SOURCE' else xtext(value)}" for key, value in known]
            if words:
                # A refusal is no reason to keep the mail: the filter then lacks a detail.
                await self._say(" ".join(["XFORWARD", *words]), self._limits.xforward)

    # the content

    async def _send_content(self) -> None:
        if not self._accepted:
            self._connection.send(b".\r\n")
            await self._connection.reply(self._limits.data_done)
            return
        self._phase = "sending message body"
        for chunk in self._letter.content.chunks(self._features):
            self._connection.send(chunk)
            await self._connection.drain(self._limits.data_transfer)
        self._phase = "sending end of data -- message may be sent more than once"
        if not self._rules.lmtp:
            reply = await self._connection.reply(self._limits.data_done)
            for target in self._accepted:
                self._exchange.outcomes[target.index] = self._final(reply)
            return
        for target in self._accepted:
            self._exchange.outcomes[target.index] = self._final(await self._connection.reply(self._limits.data_done))

    def _final(self, reply: ServerReply) -> Sent | Deferred | Bounced:
        if not reply.is_positive:
            return failure.said(self._peer, reply, failure.END_OF_DATA)
        status = Status(reply.dsn or "2.0.0", reply.code, reply.said)
        return Sent(status, self._peer.relay, dsn_passed=self._features.dsn, remote_mta=self._peer.name)

    async def _reset(self) -> None:
        self._phase = "sending RSET"
        reply = await self._say("RSET", self._limits.rset)
        self._exchange.usable = self._exchange.usable and reply.is_positive

    async def _say(self, command: str, limit: float) -> ServerReply:
        self._connection.send(_lines([command]))
        return await self._connection.reply(limit)


def _lines(commands: list[str]) -> bytes:
    return ("\r\n".join(commands) + "\r\n").encode("utf-8", "surrogateescape")
