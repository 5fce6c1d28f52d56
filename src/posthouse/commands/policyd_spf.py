"""policyd-spf(1): SPF as a policy server on standard input and output, started by spawn(8) as in the guide.

spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf [policyd-spf.conf]
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.policy.spf.options import SpfOptions
    from posthouse.system.log import DaemonLog

USAGE = "usage: policyd-spf [-h] [-v] [policyd-spf.conf]"


def main(argv: list[str] | None = None) -> int:
    """0 at the end of standard input; 64 for a wrong call."""
    words = sys.argv[1:] if argv is None else argv
    if any(word in {"-h", "--help"} for word in words):
        print(USAGE)
        return 0
    if any(word in {"-v", "--version"} for word in words):
        print("policyd-spf 3.0.4 (Posthouse)")
        return 0
    if len(words) > 1:
        print(USAGE, file=sys.stderr)
        return 64
    import asyncio

    from posthouse.system.log import DaemonLog
    from posthouse.system.log_sinks import SyslogSink

    log = DaemonLog("policyd-spf", SyslogSink("mail"))
    options = _options(words[0] if words else "", log)
    asyncio.run(_serve(options, log))
    return 0


def _options(path: str, log: DaemonLog) -> SpfOptions:
    """From the file; a missing one is told, and what it would say by default holds: mail must not wait for it."""
    from posthouse.policy.spf.options import DEFAULT_FILE, SpfOptions, read_options
    from posthouse.policy.spf.policy_server import with_host

    try:
        with open(path or DEFAULT_FILE, encoding="utf-8", errors="surrogateescape") as file:
            options, problems = read_options(file, path or DEFAULT_FILE)
    except OSError as problem:
        options, problems = SpfOptions(), [f"{path}: {problem.strerror}"] if path else []
    for text in problems:
        log.error(text)
    return with_host(options, socket.gethostname())


async def _serve(options: SpfOptions, log: DaemonLog) -> None:
    import asyncio

    from posthouse.policy.policy_connections import MAX_REQUEST, PolicyConnections
    from posthouse.policy.spf.evaluation import Limits, SpfChecker
    from posthouse.policy.spf.policy_server import SpfPolicyServer
    from posthouse.system.dns import Resolver

    def tell(level: int, text: str) -> None:
        if options.debugLevel >= level:
            log.info(text)

    checker = SpfChecker(Resolver().lookup, Limits(options.Lookup_Time, options.Void_Limit))
    server = SpfPolicyServer(options, checker, tell, _per_user(options, log))
    reader = asyncio.StreamReader(limit=MAX_REQUEST)
    loop = asyncio.get_running_loop()
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    except ValueError:  # a file
        reader.feed_data(source.read())
        reader.feed_eof()
    connections = PolicyConnections(server.answer, log.warning)
    await connections.exchange(reader, _write_all)


async def _write_all(data: bytes) -> None:
    """To standard output, which a mail server reads at once."""
    while data:
        data = data[os.write(1, data) :]


def _per_user(options: SpfOptions, log: DaemonLog) -> list[str]:
    """The lines of "Per_User = text,/file"."""
    kind, _, path = options.Per_User.partition(",")
    if kind.strip() != "text" or not path:
        return []
    try:
        with open(path.strip(), encoding="utf-8", errors="surrogateescape") as file:
            return file.readlines()
    except OSError as problem:
        log.error(f"{path.strip()}: {problem.strerror}")  # noqa: TRY400 - DaemonLog is not logging
        return []


if __name__ == "__main__":
    sys.exit(main())
