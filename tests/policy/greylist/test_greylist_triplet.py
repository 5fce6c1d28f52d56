"""The keys under which postgrey 1.37 keeps what it has seen."""

from __future__ import annotations

import pytest

from posthouse.policy.greylist.triplet import domain_of, hidden, network, recipient_key, sender_key


@pytest.mark.parametrize(
    ("sender", "key"),
    [
        ("A@B.TEST", "a@b.test"),
        ("", ""),
        ("bounce-123-abc@l.test", "bounce-#-abc@l.test"),
        ("user+ext@l.test", "user@l.test"),
        ("prvs=123=joe@l.test", "joe@l.test"),
        ("a1b2@l.test", "a1b2@l.test"),
        ("12345@l.test", "#@l.test"),
        ("x-12-34@l.test", "x-#-#@l.test"),
        ("SRS0=abc=xy=dom.test=joe@l.test", "srs0=abc=xy=dom.test=joe@l.test"),
        ("news.2023.11@l.test", "news.#.#@l.test"),
        ("a_123_b@l.test", "a_123_b@l.test"),
        ("nodomain", "nodomain"),
        ("x@1.2.3.test", "x@1.2.3.test"),
        ("bounces+123-ab=cd@l.test", "bounces@l.test"),
        ("123abc@l.test", "123abc@l.test"),
    ],
)
def test_what_changes_from_mail_to_mail_is_left_out_of_the_sender(sender, key):
    assert sender_key(sender) == key


def test_networks():
    assert network("198.51.100.7", 24, 64) == "198.51.100.0"
    assert network("198.51.100.7", 32, 128) == "198.51.100.7"
    assert network("2001:db8:1:2:3::4", 24, 64) == "2001:db8:1:2:0:0:0:0"
    with pytest.raises(ValueError):
        network("unknown", 24, 64)


def test_recipients_keep_their_extension():
    assert recipient_key("X+y@Example.org") == "x+y@example.org"
    assert domain_of("a@b@c") == "c"
    assert len(hidden("1.2.3.4")) == 40
