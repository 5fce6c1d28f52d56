"""mailq(1): sendmail -bp under its own name, which lists the queue."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code. -C names the configuration directory, other options of sendmail count for nothing."""
    from posthouse.commands import postqueue
    from posthouse.commands.sendmail_options import EX_TEMPFAIL, MODES
    from posthouse.config.settings import load
    from posthouse.errors import ConfigError

    words = list(sys.argv[1:] if arguments is None else arguments)
    bad = next((word for word in words if word.startswith("-b") and word[2:3] not in MODES), None)
    if bad is not None:
        print(f"mailq: fatal: unsupported: {bad[:3]}", file=sys.stderr)
        return EX_TEMPFAIL
    directory: list[str] = []
    for at, word in enumerate(words):
        if word.startswith("-C"):
            directory = ["-c", word[2:] or "".join(words[at + 1 : at + 2])]
    if any(word.startswith("-q") for word in words):
        return postqueue.main([*directory, "-f"])
    try:
        load(directory[1] if directory else None)
    except ConfigError as problem:
        print(f"mailq: fatal: {problem}", file=sys.stderr)
        return EX_TEMPFAIL
    return postqueue.main([*directory, "-p"])


if __name__ == "__main__":
    sys.exit(main())
