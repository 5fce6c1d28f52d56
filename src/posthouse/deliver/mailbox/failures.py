"""What can go wrong with a mailbox, as an enhanced status and the words of the log."""

from __future__ import annotations

import errno
import os


class MailboxFailure(Exception):
    """A delivery to a mailbox that did not happen. dsn is an enhanced status, text the reason for log and bounce."""

    def __init__(self, dsn: str, text: str) -> None:
        super().__init__(text)
        self.dsn, self.text = dsn, text


def reason(error: OSError) -> str:
    """The system's words for an error."""
    return os.strerror(error.errno) if error.errno else str(error)


def writing_failed(error: OSError) -> MailboxFailure:
    """Over quota and over the limit are for good; a full disk and all else may pass."""
    match error.errno:
        case errno.EDQUOT | errno.EFBIG:
            dsn = "5.2.2"
        case errno.ENOSPC:
            dsn = "4.3.0"
        case _:
            dsn = "4.3.0"
    return MailboxFailure(dsn, f"error writing message: {reason(error)}")
