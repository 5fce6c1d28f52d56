"""The delivery agent local(8): one delivery after the other for the recipients of a request."""

from __future__ import annotations

from dataclasses import replace

from posthouse.config.settings import Settings
from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.context import Local
from posthouse.deliver.local.delivery import LocalDelivery
from posthouse.deliver.local.rules import read_rules
from posthouse.deliver.loop_fields import delivered_to_fields
from posthouse.lookup.maps import open_maps
from posthouse.mail.outcome import Deferred
from posthouse.services.command_lines import exported_environment
from posthouse.services.delivery import DeliveryRequest, Report, Result
from posthouse.services.house import House


class LocalAgent:
    """Delivers to users of this machine."""

    def __init__(self, transport: str, settings: Settings, house: House) -> None:
        self._local = Local(
            relay=transport,
            rules=read_rules(settings, transport),
            settings=settings,
            house=house,
            log=house.log(settings, "local"),
            environment=exported_environment(settings),
            aliases=open_maps(settings, "alias_maps"),
        )

    async def deliver(self, request: DeliveryRequest) -> Report:
        seen = delivered_to_fields(request.message.content.header)
        results: list[Result] = []
        expanded: list[Result] = []
        for target in request.targets:
            progress = Progress(request, target.index, target.recipient, seen, self._local.rules.duplicate_limit)
            recipient = target.recipient
            known = replace(recipient, original=recipient.original or recipient.address)
            attributes = Attributes(known, request.message.envelope.sender)
            await LocalDelivery(self._local, progress).deliver(attributes)
            results.extend(progress.results)
            if not any(isinstance(result.outcome, Deferred) for result in progress.results):
                expanded.extend(progress.expanded)
        return Report(tuple(results), expanded=tuple(expanded))

    async def close(self) -> None:
        """Nothing is kept."""
