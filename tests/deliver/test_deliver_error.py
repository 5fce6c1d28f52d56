from __future__ import annotations

import pytest
from delivery_scene import Scene, texts

from posthouse.mail.envelope import Trace
from posthouse.mail.outcome import Bounced, Deferred


@pytest.fixture
async def scene():
    made = Scene("")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("service", "nexthop", "text", "kind"),
    [
        ("error", "5.1.6 gone", "5.1.6 gone", Bounced),
        ("error", "no code here", "5.0.0 no code here", Bounced),
        ("error", "4.1.2 temp in error", "5.0.0 temp in error", Bounced),
        ("error", "", "5.0.0 Address is undeliverable", Bounced),
        ("retry", "4.9.9 hmm", "4.9.9 hmm", Deferred),
        ("retry", "no code", "4.0.0 no code", Deferred),
        ("retry", "5.2.2 perm in retry", "4.0.0 perm in retry", Deferred),
    ],
)
async def test_the_next_hop_is_the_reason(scene, service, nexthop, text, kind):
    report = await scene.deliver("error", "x@e.test", service=service, nexthop=nexthop)
    assert texts(report) == [text]
    assert isinstance(report.results[0].outcome, kind)
    assert report.results[0].outcome.relay == "none"


async def test_a_code_of_the_wrong_class_is_logged(scene):
    await scene.deliver("error", "x@e.test", nexthop="4.1.2 temp")
    assert scene.sink.lines == ['postfix/error: warning: bounce_append: ignoring dsn code "4.1.2"']


async def test_discard_says_what_the_next_hop_says(scene):
    assert texts(await scene.deliver("discard", "x@d.test", nexthop="silently")) == ["2.0.0 silently"]
    report = await scene.deliver("discard", "x@d.test", nexthop="d.test", trace=Trace.PROBE)
    assert report.results[0].outcome.deliverable
