"""The options of postgrey 1.37, read and checked (postgrey(8))."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Sequence

from posthouse.policy.greylist import texts
from posthouse.policy.greylist.drop_in import Options
from posthouse.policy.greylist.rules import Times

CONFIG_DIRECTORY = "/etc/postgrey"
_DAY_S = 86400


class _Parser(argparse.ArgumentParser):
    """Leaves with 2, as postgrey does."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{message}\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options. Exits for --help, --version and mistakes."""
    parser = _build()
    given = parser.parse_args(list(words))
    if not given.inet and not given.unix:
        parser.exit(2, "ERROR: --unix or --inet must be specified\n")
    if given.retry_window_s is None:
        parser.exit(1, "ERROR: --retry-window is a number of days, or of hours with an h after it (6h, say).\n")
    return given


def engine_options(given: argparse.Namespace) -> Options:
    """What the engine needs to know of them."""
    times = Times(given.delay, given.retry_window_s, given.max_age * _DAY_S, given.auto_whitelist_clients)
    options = Options(
        times,
        given.ipv4cidr,
        given.ipv6cidr,
        given.privacy,
        given.greylist_action,
        given.greylist_text,
        given.x_greylist_header,
        given.hostname or socket.gethostname(),
    )
    return options if given.by_subnet else options.by_host()


def whitelist_files(given: argparse.Namespace, what: str) -> tuple[list[str], list[str]]:
    """The files of clients or recipients that must be there, and those that may."""
    named: list[str] = getattr(given, f"whitelist_{what}")
    if named:
        return named, []
    standard = os.path.join(CONFIG_DIRECTORY, f"whitelist_{what}")
    return [], [standard, f"{standard}.local"]


def _build() -> argparse.ArgumentParser:
    parser = _Parser(prog="postgrey", description="Greylisting for Postfix and Posthouse.", allow_abbrev=True)
    add = parser.add_argument
    add("--version", action="version", version=f"postgrey {texts.VERSION} (Posthouse)")
    add("-v", "--verbose", action="count", default=0, help="say more in the log")
    add("-q", "--quiet", action="count", default=0, help="say less in the log")
    add("--syslog-facility", default="mail", metavar="NAME", help="facility of the log (mail)")
    add("-u", "--unix", default="", metavar="PATH", help="listen on a socket in the file system")
    add("--socketmode", type=lambda text: int(text, 8), default=0o666, metavar="MODE", help="its mode (0666)")
    add("-i", "--inet", default="", metavar="[HOST:]PORT", help="listen on a port; localhost without HOST")
    add("-d", "--daemonize", action="store_true", help="run in the background")
    add("--pidfile", default="", metavar="PATH", help="where the process id is written")
    add("--user", default="postgrey", help="the user to run as (postgrey)")
    add("--group", default="", help="the group to run as (the user's)")
    add("--dbdir", default="/var/lib/postgrey", metavar="PATH", help="directory of the database, or redis://host")
    add("--delay", type=int, default=300, metavar="N", help="seconds that new mail waits (300)")
    add("--max-age", type=int, default=35, metavar="N", help="days after which what was not seen is forgotten (35)")
    add("--retry-window", type=_window, default=2 * _DAY_S, dest="retry_window_s", metavar="N",
        help="days in which mail must come again (2); with an h after it, hours")  # fmt: skip
    add("--greylist-action", default="DEFER_IF_PERMIT", metavar="A", help="the answer to the mail server")
    add("--greylist-text", default=texts.TEXT, metavar="TXT", help="what the sender is told; %%s seconds, %%r domain")
    add("--lookup-by-subnet", action="store_true", default=True, dest="by_subnet", help="networks count (default)")
    add("--lookup-by-host", action="store_false", dest="by_subnet", help="single addresses count")
    add("--ipv4cidr", type=_bits(32), default=24, metavar="N", help="bits of an IPv4 address that count (24)")
    add("--ipv6cidr", type=_bits(128), default=64, metavar="N", help="bits of an IPv6 address that count (64)")
    add("--privacy", action="store_true", help="keep hashes instead of addresses")
    add("--hostname", default="", metavar="NAME", help="this host's name in header fields")
    add("--exim", action="store_true", help="one request per connection")
    add("--whitelist-clients", action="append", default=[], metavar="FILE", help="clients that never wait")
    add("--whitelist-recipients", action="append", default=[], metavar="FILE", help="recipients who never wait")
    add("--auto-whitelist-clients", type=int, nargs="?", const=5, default=5, metavar="N",
        help="a client that came again N times need not wait any more (5); 0 is never")  # fmt: skip
    add("--listen-queue-size", type=int, default=999, metavar="N", help="connections that may wait for us")
    add("--x-greylist-header", default=texts.HEADER, metavar="TXT", help="%%t seconds, %%v version, %%d date, %%h host")
    return parser


def _window(text: str) -> int | None:
    found = re.fullmatch(r"(\d{1,6})(h?)", text)
    return None if found is None else int(found[1]) * (3600 if found[2] else _DAY_S)


def _bits(most: int) -> type[int]:
    def read(text: str) -> int:
        number = int(text)
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f"not a number of bits: {text}")
        return number

    return read  # type: ignore[return-value]
