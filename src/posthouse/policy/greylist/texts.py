"""What a greylisted sender is told, and the header field of mail that came again (postgrey(8)); pure functions."""

from __future__ import annotations

import re
import time

VERSION = "1.37"  # of the postgrey whose ways these are
TEXT = "Greylisted, see http://postgrey.schweikert.ch/help/%r.html"
HEADER = "X-Greylist: delayed %t seconds by postgrey-%v at %h; %d"


def reply_text(template: str, wait: int, recipient: str) -> str:
    """%s is the time that is left (s), %r the recipient's domain."""
    return template.replace("%s", str(wait)).replace("%r", recipient.rpartition("@")[2])


def with_status(text: str) -> str:
    """The text with an enhanced status code, for mail servers that know them (those that send etrn_domain=)."""
    return text if re.match(r"[245]\.\d{1,3}\.\d{1,3}\s", text) else f"4.2.0 {text}"


def header_text(template: str, waited: int, host: str, now: float) -> str:
    """%t is the time that the mail waited (s), %v a version, %d the date, %h the host."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S %Z", time.localtime(now))
    text = template.replace("%t", str(waited)).replace("%v", VERSION)
    return text.replace("%d", date).replace("%h", host)
