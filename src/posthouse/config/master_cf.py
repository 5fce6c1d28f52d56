"""master.cf: the services of the house (master(5))."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Service:
    """One service. type is inet, unix, fifo, pass or unix-dgram. wakeup is in seconds (0 never), wakeup_on_use the "?".

    maxproc 0 is without limit. command is the daemon's name ("smtpd"), args its words without -o; options the -o
    settings in order. private, unprivileged and chroot are as the columns say, defaults applied. line is 1-based.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool
    wakeup: int
    wakeup_on_use: bool
    maxproc: int
    command: str
    args: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    file: str = ""
    line: int = 0
