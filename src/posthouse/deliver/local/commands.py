"""Runs commands for local mail, with the rights of the user concerned (local(8), EXTERNAL COMMAND DELIVERY)."""

from __future__ import annotations

import time
from dataclasses import replace

from posthouse.deliver.command_outcome import command_status, diagnostic, was_killed
from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.context import NO_AGENT, Local, identity_of, is_question
from posthouse.deliver.local.expansion import Unexpandable, expanded, filtered, names_for
from posthouse.deliver.local.shell import command_words
from posthouse.deliver.results import failed
from posthouse.mail.outcome import Outcome
from posthouse.mail.status import Status
from posthouse.services.privileged import Command

_RESTRICTED = Status("5.7.1", 0, "mail to command is restricted")
_CONFIGURATION = Status("4.3.5", 0, "mail system configuration error")


async def deliver_command(
    local: Local, progress: Progress, attributes: Attributes, command: str, *, is_mailbox: bool = False
) -> Outcome:
    """Give the message to a command; is_mailbox: it is mailbox_command, which needs no permission."""
    if not is_mailbox and attributes.via not in local.rules.commands_from:
        return failed(_RESTRICTED, local.relay)
    if is_question(progress):
        return local.would(f"delivers to command: {command}")
    user = local.rights_for_outside(attributes)
    if user is None:
        local.log.warning(f"default_privs: unknown user: {local.rules.default_user}")
        return failed(_CONFIGURATION, local.relay)
    if local.privileged is None:
        return failed(NO_AGENT, local.relay)
    try:
        directory = _directory(local, progress, attributes)
    except Unexpandable as problem:
        local.log.warning(f"bad command_execution_directory: {problem}")
        return failed(_CONFIGURATION, local.relay)
    result = await local.privileged.run_command(
        Command(
            identity=identity_of(user),
            argv=command_words(command, local.rules.shell, local.environment["PATH"]),
            environment=_environment(local, progress, attributes),
            head=local.head(attributes, "command", from_moment=time.time()),
            content=progress.request.message.content,
            limit=local.rules.time_limit,
            directory=directory,
            daemon="local",
        )
    )
    if was_killed(result):
        local.log.warning("pipe_command_read: read time limit exceeded")
    elif result.complaint:
        local.log.fatal(result.complaint)
    status = command_status(result, command)
    if status is None:
        return local.sent(f"delivered to command: {command}")
    return replace(failed(status, local.relay), diagnostic=diagnostic(result))


def _directory(local: Local, progress: Progress, attributes: Attributes) -> str:
    template = local.settings.raw("command_execution_directory")
    if not template:
        return local.rules.queue_directory
    values = names_for(attributes, progress.request.message.envelope.origin, local.rules.delimiters)
    allowed = local.settings.text("execution_directory_expansion_filter")
    return expanded(template, values, allowed, all_needed=True)[0]


def _environment(local: Local, progress: Progress, attributes: Attributes) -> dict[str, str]:
    """What the command is told; characters that mean something to a shell are replaced."""
    origin = progress.request.message.envelope.origin
    rights = attributes.rights
    values = {
        "SENDER": attributes.sender,
        "RECIPIENT": attributes.recipient.address,
        "ORIGINAL_RECIPIENT": attributes.recipient.original or attributes.recipient.address,
        "LOCAL": attributes.local,
        "USER": attributes.user,
        "LOGNAME": attributes.user,
        "EXTENSION": attributes.extension,
        "DOMAIN": attributes.domain,
        "HOME": rights.home if rights is not None else "",
        "SHELL": rights.shell if rights is not None else "",
        "CLIENT_ADDRESS": origin.client_address,
        "CLIENT_HELO": origin.helo_name,
        "CLIENT_HOSTNAME": origin.client_name,
        "CLIENT_PROTOCOL": origin.protocol_name,
        "SASL_METHOD": origin.sasl_method,
        "SASL_SENDER": origin.sasl_sender,
        "SASL_USERNAME": origin.sasl_username,
    }
    allowed = local.settings.text("command_expansion_filter")
    always = {"SENDER", "RECIPIENT"}
    told = {name: filtered(value, allowed) for name, value in values.items() if value or name in always}
    return {**local.environment, **told}
