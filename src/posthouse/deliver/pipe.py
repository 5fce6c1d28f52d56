"""Gives mail to an external command, as a line of master.cf says (pipe(8)): macros, flags, exit codes; no shell."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.command_outcome import command_status, diagnostic, output_text, was_killed
from posthouse.deliver.loop_fields import delivered_to_fields
from posthouse.deliver.results import delivered, failed, from_line, is_question, same_for_all, would_deliver
from posthouse.mail.address import quote_address, split_extension
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.mail.outcome import Outcome
from posthouse.mail.status import Status
from posthouse.services.command_lines import (
    command_arguments,
    command_identity,
    exported_environment,
    wrong_line,
)
from posthouse.services.delivery import DeliveryRequest, Report, Result, Target
from posthouse.services.house import House
from posthouse.services.privileged import Command

_FLAGS = frozenset("BDFORXhqu.>")
_MACRO = re.compile(r"\$(?:\$|\{([^{}]*)\}|\(([^()]*)\)|([A-Za-z0-9_]+))")
_RECIPIENT_MACROS = frozenset({"recipient", "original_recipient", "user", "extension", "mailbox", "domain"})
_PER_RECIPIENT = _RECIPIENT_MACROS
_MESSAGE_MACROS = frozenset(
    {"nexthop", "sender", "queue_id", "size", "envid", "client_address", "client_helo", "client_hostname"}
    | {"client_port", "client_protocol", "sasl_method", "sasl_sender", "sasl_username"}
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_SHOWN_OF_SUCCESS = 100  # characters of what a command says
_NO_AGENT = Status("4.3.0", 0, "agent host is not running")


@dataclass(frozen=True, slots=True)
class Attributes:
    """The command attributes of a service line. size is in bytes, 0 no limit; limit in seconds."""

    argv: tuple[str, ...]
    user: str
    flags: frozenset[str] = frozenset()
    directory: str = ""
    chroot: str = ""
    eol: str = "\n"
    null_sender: str = "MAILER-DAEMON"
    size: int = 0


def read_attributes(service: Service) -> Attributes:
    """The attributes in a service's arguments. Raises ConfigError."""
    attributes = Attributes((), "")
    words = list(service.args)
    for place, word in enumerate(words):
        name, sign, value = word.partition("=")
        if not sign:
            raise wrong_line(service, f'unknown attribute name: "{word}"')
        if name == "argv":
            argv = tuple(command_arguments([value, *words[place + 1 :]] if value else words[place + 1 :]))
            attributes = replace(attributes, argv=argv)
            break
        attributes = _with_attribute(service, attributes, name, value)
    if not attributes.user:
        raise wrong_line(service, "missing user= attribute")
    if not attributes.argv:
        raise wrong_line(service, "missing argv= attribute")
    return attributes


def _with_attribute(service: Service, attributes: Attributes, name: str, value: str) -> Attributes:
    match name:
        case "flags":
            unknown = set(value) - _FLAGS
            if unknown:
                raise wrong_line(service, f"unknown flag: {min(unknown)}")
            return replace(attributes, flags=frozenset(value))
        case "user":
            return replace(attributes, user=value)
        case "directory":
            return replace(attributes, directory=value)
        case "chroot":
            return replace(attributes, chroot=value)
        case "eol":
            return replace(attributes, eol=_ESCAPE.sub(_unescape, value))
        case "null_sender":
            return replace(attributes, null_sender=value)
        case "size":
            if not (value.isascii() and value.isdecimal()):
                raise wrong_line(service, f"bad size= argument: {value}")
            return replace(attributes, size=int(value))
    raise wrong_line(service, f'unknown attribute name: "{name}"')


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 8) & 255) if match[1] else _ESCAPES.get(match[2], match[2])


def _macros(argument: str) -> Iterator[str]:
    for match in _MACRO.finditer(argument):
        name = match[1] or match[2] or match[3]
        if name:
            yield name


def _check_macros(service: Service, argv: tuple[str, ...]) -> None:
    for argument in argv:
        for name in _macros(argument):
            if name not in _RECIPIENT_MACROS and name not in _MESSAGE_MACROS:
                raise wrong_line(service, f'unknown macro name: "{name}"')


_CONFIGURATION = Status("4.3.5", 0, "mail system configuration error")


class PipeAgent:
    """Runs one command per request, for all its recipients."""

    def __init__(self, service: Service, settings: Settings, house: House) -> None:
        self._service, self._house = service.name, house
        self._attributes = read_attributes(service)
        _check_macros(service, self._attributes.argv)
        self._identity = command_identity(service, self._attributes.user, settings)
        self._log = house.log(settings, "pipe")
        self._limit = float(settings.seconds(f"{service.name}_time_limit"))
        self._delimiters = settings.text("recipient_delimiter")
        self._directory = self._attributes.directory or settings.text("queue_directory")
        self._environment = exported_environment(settings)

    async def deliver(self, request: DeliveryRequest) -> Report:
        attributes, message = self._attributes, request.message
        if attributes.size and message.size > attributes.size:
            return same_for_all(request, failed(Status("5.2.3", 0, "message too large"), self._service))
        for flag in "DO" if len(request.targets) > 1 else "":
            if flag in attributes.flags:
                self._log.warning(f"pipe flag `{flag}' requires {self._service}_destination_recipient_limit = 1")
                return same_for_all(request, failed(_CONFIGURATION, self._service))
        looping = self._looping(request) if "D" in attributes.flags else []
        returned = {result.index for result in looping}
        targets = [target for target in request.targets if target.index not in returned]
        if not targets:
            return Report(tuple(looping))
        outcome = await self._run(request, targets)
        now = time.time()
        return Report((*looping, *(Result(target.index, outcome, finished=now) for target in targets)))

    async def close(self) -> None:
        """Nothing is kept."""

    async def _run(self, request: DeliveryRequest, targets: list[Target]) -> Outcome:
        recipients = [target.recipient for target in targets]
        argv = tuple(self._expand(request, recipients))
        if is_question(request):
            return would_deliver(f"delivers to command: {argv[0]}", self._service)
        if self._house.privileged is None:
            return failed(_NO_AGENT, self._service)
        result = await self._house.privileged.run_command(self._command(request, recipients, argv))
        if was_killed(result):
            self._log.warning("pipe_command_read: read time limit exceeded")
        elif result.complaint:
            self._log.fatal(result.complaint)
        status = command_status(result, argv[0])
        if status is not None:
            return replace(failed(status, self._service), diagnostic=diagnostic(result))
        output = output_text(result.output).rstrip()[:_SHOWN_OF_SUCCESS]
        return delivered(f"delivered via {self._service} service" + (f" ({output})" if output else ""), self._service)

    def _command(self, request: DeliveryRequest, recipients: list[Recipient], argv: tuple[str, ...]) -> Command:
        attributes = self._attributes
        return Command(
            identity=self._identity,
            argv=argv,
            environment=self._environment,
            head=self._head(request.message.envelope, recipients[0]),
            content=request.message.content,
            limit=self._limit,
            directory=self._directory if not attributes.chroot or attributes.directory else "",
            tail=attributes.eol.encode("latin-1") if "B" in attributes.flags else b"",
            from_quoting=">" in attributes.flags,
            dot_stuffing="." in attributes.flags,
            eol=attributes.eol.encode("latin-1"),
            chroot=attributes.chroot,
        )

    def _looping(self, request: DeliveryRequest) -> list[Result]:
        seen = delivered_to_fields(request.message.content.header)
        return [
            Result(
                target.index,
                failed(Status("5.4.6", 0, f"mail forwarding loop for {target.recipient.address}"), self._service),
                finished=time.time(),
            )
            for target in request.targets
            if target.recipient.address.lower() in seen
        ]

    def _head(self, envelope: Envelope, recipient: Recipient) -> bytes:
        flags = self._attributes.flags
        sender = envelope.sender or self._attributes.null_sender
        lines = []
        if "F" in flags:
            lines.append(from_line(sender, time.time()))
        fields = ""
        if "R" in flags:
            fields += f"Return-Path: <{quote_address(sender)}>\n"
        if "O" in flags:
            fields += f"X-Original-To: {quote_address(recipient.original or recipient.address)}\n"
        if "D" in flags:
            fields += f"Delivered-To: {quote_address(recipient.address)}\n"
        lines.append(fields.encode("utf-8", "surrogateescape"))
        return b"".join(lines)

    def _expand(self, request: DeliveryRequest, recipients: list[Recipient]) -> Iterator[str]:
        """The arguments with their macros replaced; one that speaks of a recipient stands once for each."""
        shared = self._message_values(request)
        each = [shared | self._recipient_values(recipient) for recipient in recipients]
        for argument in self._attributes.argv:
            for values in each if _PER_RECIPIENT.intersection(_macros(argument)) else each[:1]:
                yield _MACRO.sub(lambda m, values=values: _value(m, values), argument)  # type: ignore[misc]

    def _message_values(self, request: DeliveryRequest) -> dict[str, str]:
        flags, message = self._attributes.flags, request.message
        sender = message.envelope.sender or self._attributes.null_sender
        origin: Origin = message.envelope.origin
        return {
            "nexthop": request.nexthop.lower() if "h" in flags else request.nexthop,
            "sender": quote_address(sender) if "q" in flags else sender,
            "queue_id": message.queue_id,
            "size": str(message.size),
            "envid": message.envelope.envid,
            "client_address": origin.client_address,
            "client_helo": origin.helo_name,
            "client_hostname": origin.client_name,
            "client_port": origin.client_port,
            "client_protocol": origin.protocol_name,
            "sasl_method": origin.sasl_method,
            "sasl_sender": origin.sasl_sender,
            "sasl_username": origin.sasl_username,
        }

    def _recipient_values(self, recipient: Recipient) -> dict[str, str]:
        flags = self._attributes.flags
        local, _, domain = recipient.address.rpartition("@")
        if not local:
            local, domain = domain, ""
        local = local.lower() if "u" in flags else local
        user, extension = split_extension(local, self._delimiters)
        return {
            "recipient": self._address(recipient.address),
            "original_recipient": self._address(recipient.original or recipient.address),
            "user": user,
            "extension": extension,
            "mailbox": local,
            "domain": domain.lower() if "h" in flags else domain,
        }

    def _address(self, address: str) -> str:
        flags = self._attributes.flags
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = domain, ""
        local = local.lower() if "u" in flags else local
        domain = domain.lower() if "h" in flags else domain
        return quote_address(local + at + domain) if "q" in flags else local + at + domain


def _value(match: re.Match[str], values: dict[str, str]) -> str:
    name = match[1] or match[2] or match[3]
    return values.get(name, "") if name else "$"


def build(service: Service, settings: Settings, house: House) -> PipeAgent:
    """The agent of a line "name unix - n n - - pipe flags=... user=... argv=..."."""
    return PipeAgent(service, settings, house)
