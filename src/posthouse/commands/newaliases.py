"""newaliases: make the indexes of alias_database anew, as `sendmail -I` does (newaliases(1), sendmail(1))."""

from __future__ import annotations

import getopt
import sys
from collections.abc import Sequence

_LETTERS = "A:B:C:F:GILN:O:R:UV:X:b:ce:f:h:imno:p:q:r:tvx"  # those of sendmail; most mean nothing here


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    try:
        options, _ = getopt.gnu_getopt(list(sys.argv[1:] if arguments is None else arguments), _LETTERS)
    except getopt.GetoptError as error:
        print(f"newaliases: fatal: usage: newaliases [options]: {error}", file=sys.stderr)
        return 64
    return rebuild(next((value for option, value in options if option == "-C"), None))


def rebuild(config_directory: str | None = None) -> int:
    """Index every table of alias_database with postalias; the exit code.

    The directory is that of main.cf; None: MAIL_CONFIG, else the standard one.
    """
    from posthouse.commands import indexing, postalias

    try:
        settings = indexing.load_settings(config_directory)
    except indexing.Fatal as fatal:
        print(f"newaliases: fatal: {fatal}", file=sys.stderr)
        return 75
    databases = settings.items("alias_database")
    if not databases:
        return 0
    place = ["-c", settings.config_directory]
    return postalias.main([*place, "--", *databases])


if __name__ == "__main__":
    sys.exit(main())
