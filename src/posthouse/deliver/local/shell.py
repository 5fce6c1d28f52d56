"""Whether a command line needs a shell, and the words to run (local(8), EXTERNAL COMMAND DELIVERY)."""

from __future__ import annotations

import shlex
import shutil

_PLAIN = frozenset("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t")
_SHELL = "sh"


def command_words(command: str, shell: str, path: str) -> tuple[str, ...]:
    """Argv for a command line. shell is local_command_shell ("" only where it must be), path where programs are.

    Without a shell where no character means anything to one and the first word is a program, not a shell's builtin.
    """
    if shell:
        return (*shlex.split(shell), command)
    words = tuple(command.split()) if _PLAIN.issuperset(command) else ()
    if words and ("/" in words[0] or shutil.which(words[0], path=path)):
        return words
    return (_SHELL, "-c", command)
