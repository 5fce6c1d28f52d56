"""Where a user's mail ends: another transport, a command, a Maildir or an mbox (local(8), MAILBOX DELIVERY)."""

from __future__ import annotations

from dataclasses import replace

from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.commands import deliver_command
from posthouse.deliver.local.context import Local
from posthouse.deliver.local.files import deliver_home_or_spool
from posthouse.deliver.results import failed
from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup.maps import open_maps
from posthouse.mail.outcome import Outcome
from posthouse.mail.status import Status
from posthouse.maillog import local as maillog
from posthouse.services.delivery import DeliveryRequest, Result, Target
from posthouse.system.users import User

_CONFIGURATION = Status("4.3.5", 0, "mail system configuration error")


async def deliver(
    local: Local, progress: Progress, attributes: Attributes, user: User | None
) -> Outcome | list[Result] | None:
    """To the mailbox of a user; None where there is no such user and no transport for all."""
    if not progress.is_first(f"mailbox {attributes.local}"):
        return []
    passed = await pass_on(local, progress, attributes, "mailbox_transport")
    if passed is not None:
        return passed
    if user is None:
        return None
    attributes = replace(attributes, rights=user)
    try:
        command = await _mapped(local, "mailbox_command_maps", attributes.user) or local.settings.text(
            "mailbox_command"
        )
    except LookupFailed as failure:
        return _unavailable(local, "mailbox_command_maps", failure)
    if command:
        return await deliver_command(local, progress, attributes, command, is_mailbox=True)
    return await deliver_home_or_spool(local, progress, attributes, user)


async def pass_on(
    local: Local, progress: Progress, attributes: Attributes, parameter: str
) -> Outcome | list[Result] | None:
    """Hand the recipient to the transport of mailbox_transport(_maps) or fallback_transport(_maps); None for none."""
    try:
        value = await _mapped(local, f"{parameter}_maps", attributes.user) or local.settings.text(parameter)
    except LookupFailed as failure:
        return _unavailable(local, f"{parameter}_maps", failure)
    if not value:
        return None
    transport, _, nexthop = value.partition(":")
    if local.house.agent is None or transport == local.relay:
        local.log.warning(f"{parameter}: mail cannot go to {value}")
        return failed(_CONFIGURATION, local.relay)
    try:
        agent = local.house.agent(transport)
    except ConfigError as error:
        local.log.warning(f"{parameter}: {error}")
        return failed(_CONFIGURATION, local.relay)
    except KeyError:
        local.log.warning(f"{parameter}: unknown mail transport: {transport}")
        return failed(Status("4.3.5", 0, f"unknown mail transport: {transport}"), local.relay)
    request = progress.request
    local.log.info(maillog.passing(request.message.queue_id, attributes.recipient.address, transport))
    report = await agent.deliver(
        DeliveryRequest(
            message=request.message,
            transport=transport,
            nexthop=nexthop or local.rules.hostname,
            targets=(Target(progress.index, attributes.recipient),),
            active_since=request.active_since,
            handed_over=request.handed_over,
        )
    )
    return [
        replace(result, transport=transport, logged_recipient=result.logged_recipient or attributes.recipient)
        for result in report.results
    ]


async def _mapped(local: Local, parameter: str, name: str) -> str | None:
    maps = open_maps(local.settings, parameter)
    return None if maps.empty else await maps.find(name)


def _unavailable(local: Local, parameter: str, failure: LookupFailed) -> Outcome:
    local.log.warning(f"{parameter}: {failure}")
    return failed(Status("4.3.0", 0, "table lookup failure"), local.relay)
