"""What a command's end means for the mail: exit codes of sysexits(3), output, time limit (pipe(8), local(8))."""

from __future__ import annotations

import re
import signal

from posthouse.mail.status import Status
from posthouse.services.privileged import CommandResult

_CODES = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}
_DSN = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")


def output_text(output: bytes) -> str:
    """The start of a command's output as it stands in logs and bounces: one line, nothing unprintable."""
    text = output.decode("latin-1").replace("\n", " ").replace("\t", " ")
    return "".join(character if " " <= character <= "~" else "_" for character in text)


def command_status(result: CommandResult, command: str) -> Status | None:
    """Why the mail was not delivered; None for success. command is how it is named in the text."""
    if result.failure is not None:
        if result.failure.text == "Command time limit exceeded":
            return Status(result.failure.dsn, 0, _with_output(f'Command time limit exceeded: "{command}"', result))
        return result.failure
    if result.exit_status == 0:
        return None
    output = output_text(result.output)
    if result.exit_status > 0:
        own = _DSN.match(output)
        if own is not None:
            # A code that does not tell of a failure still does not make a success of it.
            dsn = own[1] if own[1][0] in "45" else "5.0.0"
            return Status(dsn, 0, output[own.end() :])
    dsn, text = _meaning(result.exit_status, command)
    return Status(dsn, 0, _with_output(text, result))


def _with_output(text: str, result: CommandResult) -> str:
    output = output_text(result.output)
    return f"{text}. Command output: {output}" if output else text


def diagnostic(result: CommandResult) -> str:
    """What a report says of a command (RFC 3464, 2.3.6): its own words, else what its exit code means."""
    if result.failure is not None:
        return ""
    output = output_text(result.output)
    own = _DSN.match(output)
    words = (output[own.end() :] if own is not None else output).strip()
    number = abs(result.exit_status)
    known = _CODES.get(result.exit_status, ("", f"unknown mail system error {number}"))
    return f"x-unix; {words or known[1]}"


def _meaning(exit_status: int, command: str) -> tuple[str, str]:
    if exit_status < 0:
        return "4.3.0", f'Command died with signal {-exit_status}: "{command}"'
    return _CODES.get(exit_status, ("5.3.0", f'Command died with status {exit_status}: "{command}"'))


def was_killed(result: CommandResult) -> bool:
    """Whether its time limit ended it."""
    return result.failure is not None and result.exit_status == -signal.SIGKILL
