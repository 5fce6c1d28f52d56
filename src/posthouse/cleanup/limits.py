"""What a message must keep to as a whole: size, recipients (message_size_limit, cleanup(8))."""

from __future__ import annotations

from posthouse.cleanup.work import Work


def check_size(work: Work) -> None:
    """message_size_limit holds for mail that reached us without SMTP's own check, too."""
    limit = work.rules.message_size_limit
    if limit and work.submission.content.size > limit:
        raise work.refuse("5.3.4", 552, "Error: message file too big")


def check_recipients(work: Work) -> None:
    if not work.recipients:
        raise work.refuse("5.1.0", 550, "Error: no recipients specified")
