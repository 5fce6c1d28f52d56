"""How long mail waits under postgrey's rules and under ours, for senders of different kinds; writes a plot.

    python bench/greylist_simulation.py [PLOT.svg]

Senders try again as mail servers do (after 5, 10, 20, 40 minutes, then every hour for two days), and each try comes
from a random address of their pool. The rules are those that run in the house; only time is made up.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from dataclasses import dataclass, field

from posthouse.config.settings import load
from posthouse.policy.greylist.in_house import Attempt, Greylister
from posthouse.policy.greylist.sqlite import SqliteStore
from posthouse.system.log import DaemonLog, MemorySink

RETRIES_MIN = (0, 5, 15, 35, 75, *range(135, 2880, 60))
MAILS = 300
START = 1_800_000_000
GAP_S = 1800


@dataclass
class Sender:
    """addresses are the pool; has_spf: its domain's record names them; retries False gives up at once."""

    name: str
    addresses: list[str]
    has_spf: bool = False
    retries: bool = True
    is_mailing: bool = False
    waits: dict[str, list[float | None]] = field(default_factory=dict)

    def sender_of(self, number: int) -> str:
        return f"news-{number}x@news.test" if self.is_mailing else f"user{number % 40}x@{self.name.split()[0]}.test"


def pool(count: int, seed: int) -> list[str]:
    """Addresses in networks of their own."""
    dice = random.Random(seed)
    return [f"{dice.randrange(11, 200)}.{dice.randrange(256)}.{n}.{dice.randrange(1, 250)}" for n in range(count)]


def senders() -> list[Sender]:
    return [
        Sender("pool of 30 addresses, with SPF", pool(30, 1), has_spf=True),
        Sender("same pool, without SPF", pool(30, 2)),
        Sender("newsletter from 20 addresses, with SPF", pool(20, 3), has_spf=True, is_mailing=True),
        Sender("newsletter, without SPF", pool(20, 4), is_mailing=True),
        Sender("one server", ["192.0.2.1"]),
        Sender("botnet that never retries", pool(250, 5), retries=False),
    ]


def configure(folder: str, rules: str) -> None:
    """The least of a configuration."""
    with open(f"{folder}/main.cf", "w", encoding="ascii") as file:
        file.write(f"posthouse_greylist_rules = {rules}\nposthouse_greylist_whitelist_clients = /dev/null\n")
    with open(f"{folder}/master.cf", "w", encoding="ascii"):
        pass


async def play(sender: Sender, rules: str) -> None:
    """Send MAILS messages, half an hour apart, and note how long each waited (s); None for one that never came in."""
    clock, dice = [float(START)], random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        configure(folder, rules)
        log = DaemonLog("simulation", MemorySink())
        store = SqliteStore(os.path.join(folder, "g.db"))
        greylister = Greylister(load(folder), log, store, lambda: clock[0])
        tries = RETRIES_MIN if sender.retries else RETRIES_MIN[:1]
        events = [(START + n * GAP_S + minutes * 60, n) for n in range(MAILS) for minutes in tries]
        waits: dict[int, float | None] = dict.fromkeys(range(MAILS))
        for at, number in sorted(events):
            if waits[number] is None:
                clock[0] = at
                address = sender.sender_of(number)
                proof = _proof(address.rpartition("@")[2] if sender.has_spf else "")
                attempt = Attempt(dice.choice(sender.addresses), "unknown", address, f"info{number % 25}@example.org")
                if (await greylister.judge(attempt, proof)).passes:
                    waits[number] = at - START - number * GAP_S
        sender.waits[rules] = list(waits.values())
        await greylister.close()


def _proof(domain: str):  # noqa: ANN202
    async def proof() -> str:
        return domain

    return proof


def figures(waits: list[float | None]) -> tuple[float, float, float, float]:
    """Mean, 95th percentile and longest wait of the mail that came in (minutes), and the share that did (%)."""
    came = sorted(wait / 60 for wait in waits if wait is not None)
    if not came:
        return 0, 0, 0, 0
    share = 100 * len(came) / len(waits)
    return sum(came) / len(came), came[int(len(came) * 0.95) - 1], came[-1], share


def plot(found: list[Sender]) -> str:
    """Bars of the mean wait, as SVG."""
    most = max(figures(waits)[0] for sender in found for waits in sender.waits.values()) or 1
    rows, height = [], 60 + 64 * len(found)
    for place, sender in enumerate(found):
        top = 50 + 64 * place
        rows.append(f'<text x="10" y="{top + 12}" font-weight="bold">{sender.name}</text>')
        for line, (rules, colour) in enumerate((("postgrey", "#b0603a"), ("kind", "#3a78b0"))):
            mean, _, longest, share = figures(sender.waits[rules])
            said = f"{mean:.0f} min on average, {longest:.0f} at most" if share else "nothing comes in"
            bar, y = 420 * mean / most, top + 19 + 17 * line
            rows.append(f'<rect x="10" y="{y}" width="{max(bar, 1):.1f}" height="14" fill="{colour}"/>')
            rows.append(f'<text x="{bar + 16:.1f}" y="{y + 12}">{said}</text>')
    legend = (
        '<rect x="10" y="10" width="14" height="14" fill="#b0603a"/><text x="30" y="22">postgrey\'s rules</text>'
        '<rect x="170" y="10" width="14" height="14" fill="#3a78b0"/><text x="190" y="22">kind rules</text>'
    )
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="720" height="{height}" fill="white"/>\n{legend}\n{body}\n</svg>\n'
    )


def main() -> None:
    found = senders()
    for sender in found:
        for rules in ("postgrey", "kind"):
            asyncio.run(play(sender, rules))
    print("| Sender | Rules | Mean wait (min) | 95 % wait less than | Longest | Came in |\n|---|---|---|---|---|---|")
    for sender in found:
        for rules, waits in sender.waits.items():
            mean, most, longest, share = figures(waits)
            print(f"| {sender.name} | {rules} | {mean:.1f} | {most:.0f} | {longest:.0f} | {share:.0f} % |")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="ascii") as file:
            file.write(plot(found))


if __name__ == "__main__":
    main()
