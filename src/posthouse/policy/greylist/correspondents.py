"""The worker's greylister, and whom it learns to know: people to whom one of ours has written write back at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from posthouse.policy.greylist.in_house import Greylister

if TYPE_CHECKING:
    from posthouse.policy.check import Check
    from posthouse.policy.means import Means


def greylister_of(means: Means) -> Greylister:
    """Made when first asked for."""
    house = means.house
    if house.greylist is None:
        house.greylist = Greylister(means.settings, house.log(means.settings, "greylist"))
    found: Greylister = house.greylist
    return found


def prepare(means: Means) -> None:
    """Make it at once where greylisting has been in use before: what is sent from now on is to be learnt."""
    if means.house.greylist is None:
        location = means.settings.text("posthouse_greylist_database")
        if location.startswith("redis") or os.path.exists(location):
            greylister_of(means)


async def learn_correspondent(check: Check) -> None:
    """A recipient has been accepted; where the client is one of ours, the recipient is known to the sender."""
    sender, recipient = check.request.sender, check.recipient
    if sender and recipient and check.trace is None and await is_inside(check):
        await greylister_of(check.means).learn(sender, recipient)


async def is_inside(check: Check) -> bool:
    """Whether the client has logged in or is in mynetworks."""
    request, networks = check.request, check.means.mynetworks
    if request.sasl_username:
        return True
    if networks.blocking:
        return await networks.matches(request.client_name, request.client_address)
    return networks.contains(request.client_name, request.client_address)
