"""Hands mail on to another transport: best_mx_transport, for a domain whose best mail exchanger is this host."""

from __future__ import annotations

from dataclasses import replace

from posthouse.errors import ConfigError
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.maillog.local import passing
from posthouse.services.delivery import DeliveryRequest, Result, Target
from posthouse.services.house import House
from posthouse.system.log import DaemonLog


async def pass_all(
    house: House, log: DaemonLog, request: DeliveryRequest, targets: tuple[Target, ...], place: str
) -> tuple[Result, ...]:
    """The results of another transport for these targets. place is "transport" or "transport:nexthop"."""
    transport, _, nexthop = place.partition(":")
    try:
        agent = None if house.agent is None else house.agent(transport)
    except (ConfigError, KeyError):
        agent = None
    if agent is None:
        log.warning(f"best_mx_transport: unknown mail transport: {transport}")
        unknown = Deferred(Status("4.3.5", 0, f"unknown mail transport: {transport}"))
        return tuple(Result(target.index, unknown) for target in targets)
    for target in targets:
        log.info(passing(request.message.queue_id, target.recipient.address, transport))
    report = await agent.deliver(
        replace(request, transport=transport, nexthop=nexthop or request.nexthop, targets=targets)
    )
    recipients = {target.index: target.recipient for target in targets}
    return tuple(
        replace(
            result,
            transport=transport,
            logged_recipient=result.logged_recipient or recipients.get(result.index),
        )
        for result in report.results
    )
