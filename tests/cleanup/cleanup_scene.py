"""A cleanup service over a main.cf in a temporary directory."""

from __future__ import annotations

from posthouse.cleanup.service import CleanupService
from posthouse.config.master_cf import Service
from posthouse.config.settings import load
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Origin, Recipient, Trace
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.services.intake import Submission
from posthouse.system.log import MemorySink

MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.example.com
mydomain = example.com
myorigin = $mydomain
mydestination = $mydomain, $myhostname
inet_interfaces = 127.0.0.1
"""
ORIGIN = Origin(client_name="unknown", client_address="198.51.100.7", protocol_name="ESMTP", helo_name="client.test")


class Scene:
    def __init__(self, directory, main_cf=""):
        (directory / "main.cf").write_text(MAIN_CF + main_cf)
        self.settings = load(str(directory))
        self.sink = MemorySink()
        self.house = House(self.settings, (), self.sink)
        self.house.rewriter = TrivialRewrite(self.settings, self.house)
        service = Service("cleanup", "unix", False, False, False, 0, False, 0, "cleanup")
        self.cleanup = CleanupService(service, self.settings, self.house)

    async def take(self, text, *, sender="friend@sender.test", to=("out@remote.test",), context="", **more):
        header, _, body = text.partition("\n\n")
        recipients = tuple(r if isinstance(r, Recipient) else Recipient(r) for r in to)
        trace = more.pop("trace", Trace.NONE)
        envelope = Envelope(sender, recipients, origin=ORIGIN, rewrite_context=context, trace=trace)
        content = Content(f"{header}\n".encode(), f"\n{body}".encode())
        return await self.cleanup.make_fit(Submission(envelope, content, 1795363976.0, "QID", **more))

    @property
    def log(self):
        return [line.partition("/cleanup: ")[2] for line in self.sink.lines]


def addresses(message):
    return [recipient.address for recipient in message.envelope.recipients]
