"""postlog(1): puts lines into the mail system's log, for scripts."""

from __future__ import annotations

import getopt
import os
import sys

from posthouse.errors import PosthouseError

PRIORITIES = {"info": "info", "warn": "warning", "warning": "warning", "error": "error", "err": "error"}
PRIORITIES |= {"fatal": "fatal", "panic": "panic", "crit": "fatal"}
USAGE = "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text...]"


def main(argv: list[str] | None = None) -> int:
    """0, or 1 for a wrong call."""
    from posthouse.config.settings import load
    from posthouse.master import logs

    try:
        pairs, words = getopt.getopt(sys.argv[1:] if argv is None else argv, "c:ip:t:v")
    except getopt.GetoptError:
        print(f"postlog: fatal: {USAGE}", file=sys.stderr)
        return 1
    options = dict(pairs)
    severity = PRIORITIES.get(options.get("-p", "info").lower())
    if severity is None:
        print(f"postlog: fatal: unknown priority: {options['-p']}", file=sys.stderr)
        return 1
    try:
        settings = load(options.get("-c"))
        sink = logs.open_sink(settings)
    except PosthouseError as trouble:
        print(f"postlog: fatal: {trouble}", file=sys.stderr)
        return 1
    label = options.get("-t") or f"{settings.text('syslog_name')}/postlog"
    for line in [" ".join(words)] if words else (raw.rstrip("\r\n") for raw in sys.stdin):
        text = line if severity == "info" else f"{severity}: {line}"
        sink.write(label, os.getpid(), severity, text)
        if sys.stderr.isatty():
            print(f"{label}: {text}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
