"""Throws mail away and says so (discard(8)): the next hop of the transport is the text for the log."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.results import delivered, is_question, same_for_all, would_deliver
from posthouse.services.delivery import DeliveryRequest, Report
from posthouse.services.house import House


@dataclass(frozen=True, slots=True)
class DiscardAgent:
    """Delivers nowhere."""

    async def deliver(self, request: DeliveryRequest) -> Report:
        answer = would_deliver if is_question(request) else delivered
        return same_for_all(request, answer(request.nexthop, "none"))

    async def close(self) -> None:
        """Nothing is kept."""


def build(service: Service, settings: Settings, house: House) -> DiscardAgent:  # noqa: ARG001
    """The agent of a line "discard unix ... discard"."""
    return DiscardAgent()
