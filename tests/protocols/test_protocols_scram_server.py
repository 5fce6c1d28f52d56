from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.errors import ProtocolError
from posthouse.protocols.sasl_client import ScramSha256
from posthouse.protocols.scram_server import ScramServer, derive, parse_keys

KEYS = derive("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)


def test_the_example_of_rfc_7677():
    server = ScramServer("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", {}, plus=False)
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == "user"
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert server.challenge(KEYS) == b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert server.final(b"c=biws,r=" + nonce + b"," + proof) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name))
@settings(max_examples=30, deadline=None)
def test_client_and_server_agree_on_any_name_and_password(password, user):
    try:
        (password + user).encode()
    except UnicodeEncodeError:
        return
    if not password.isascii():
        return  # how the client writes those is its own business
    client, server = ScramSha256(user, password, lambda: "nonce"), ScramServer("more", {}, plus=False)
    assert server.first(client.initial()) == user
    proof = server.final(client.answer(server.challenge(derive(password, b"0123456789abcdef", 10))))
    assert proof is not None
    assert client.answer(proof) == b""


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    server = ScramServer("more", {}, plus=False)
    try:
        server.first(data)
        server.challenge(KEYS)
        assert server.final(data) is None
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    ("first", "plus"),
    [
        (b"p=tls-unique,,n=a,r=b", True),
        (b"n,,n=a,r=b", True),
        (b"y,,n=a,r=b", False),  # an attacker has taken the -PLUS away from what the server offers
        (b"p=tls-exporter,,n=a,r=b", False),
        (b"n,a=other,n=a,r=b", False),
        (b"n,,m=x,n=a,r=b", False),
    ],
)
def test_binding_that_does_not_fit_is_refused(first, plus):
    with pytest.raises(ProtocolError):
        ScramServer("more", {"tls-exporter": b"channel", "tls-server-end-point": b"hash"}, plus=plus).first(first)


def test_stored_keys_are_read_as_they_are_written():
    assert parse_keys(KEYS.text()) == KEYS
    assert KEYS.accepts("pencil")
    assert not KEYS.accepts("pencils")


@pytest.mark.parametrize("name", ["tls-exporter", "tls-server-end-point"])
def test_a_login_is_bound_to_the_connection_by_the_way_that_the_client_chose(name):
    channels = {"tls-exporter": b"one", "tls-server-end-point": b"other"}

    def logs_in(bound_to: bytes) -> bool:
        server, client = ScramServer("more", channels, plus=True), ScramSha256("user", "pencil", lambda: "nonce")
        client.header = f"p={name},,".encode()
        assert server.first(client.initial()) == "user"
        client.header += bound_to
        return server.final(client.answer(server.challenge(KEYS))) is not None

    assert logs_in(channels[name])
    with pytest.raises(ProtocolError, match="does not match"):
        logs_in(b"another connection")
