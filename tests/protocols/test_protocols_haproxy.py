import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.errors import ProtocolError
from posthouse.protocols.haproxy import LIMIT, V2_START, ProxyHeader, parse, what_is_missing

CLIENT, SERVER = ("198.51.100.7", "5555"), ("192.0.2.1", "25")


def v2(command=0x21, family=0x11, body=b"", length=None):
    return V2_START + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def addresses(client="198.51.100.7", server="192.0.2.1", ports=(5555, 25)):
    packed = b"".join(ipaddress.ip_address(address).packed for address in (client, server))
    return packed + struct.pack("!HH", *ports)


@pytest.mark.parametrize(
    ("data", "client", "server"),
    [
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 25\r\n", CLIENT, SERVER),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 25\n", CLIENT, SERVER),
        (b"PROXY TCP6 2001:db8:1::9 2001:db8::1 5555 25\r\n", ("2001:db8:1::9", "5555"), ("2001:db8::1", "25")),
        (b"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 5555 25\r\n", CLIENT, SERVER),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 0 25\r\n", ("198.51.100.7", "0"), SERVER),
        (v2(body=addresses()), CLIENT, SERVER),
        (v2(body=addresses() + b"\x04\0\5abcde"), CLIENT, SERVER),
        (v2(family=0x21, body=addresses("2001:db8:1::9", "2001:db8::1")), ("2001:db8:1::9", "5555"),
         ("2001:db8::1", "25")),
        (v2(family=0x21, body=addresses("::ffff:198.51.100.7", "::ffff:192.0.2.1")), CLIENT, SERVER),
        (v2(command=0x20, family=0), None, None),
        (v2(command=0x20, body=addresses()), None, None),
    ],
)  # fmt: skip
def test_a_header_names_client_and_server_and_ends_where_the_client_begins(data, client, server):
    assert parse(data + b"EHLO x\r\n") == ProxyHeader(len(data), client, server)
    for cut in range(len(data)):
        assert parse(data[:cut]) is None, "pieces are waited for"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"EHLO x.example.net\r\n", "unrecognized protocol header"),
        (b"proxy TCP4 198.51.100.7 192.0.2.1 5555 25\r\n", "unrecognized protocol header"),
        (b"EH\r\n", "short protocol header"),
        (b"PROXY UNKNOWN\r\n", "bad or missing protocol type"),
        (b"PROXY\r\n", "unrecognized protocol header"),
        (b"PROXY \r\n", "bad or missing protocol type"),
        (b"PROXY TCP5 198.51.100.7 192.0.2.1 5555 25\r\n", "bad or missing protocol type"),
        (b"PROXY TCP4 198.51.100.777 192.0.2.1 5555 25\r\n", "bad or missing client address"),
        (b"PROXY TCP4 2001:db8::1 192.0.2.1 5555 25\r\n", "bad or missing client address"),
        (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 5555 25\r\n", "bad or missing client address"),
        (b"PROXY TCP4 198.51.100.7\r\n", "bad or missing server address"),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 65536 25\r\n", "bad or missing client port"),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 -1\r\n", "bad or missing server port"),
        (b"PROXY TCP4 " + b" " * 600, "missing protocol header terminator"),
        (v2(command=0x11, body=addresses()), "unrecognized protocol version"),
        (v2(command=0x22, body=addresses()), "bad command in proxy header"),
        (v2(family=0x12, body=addresses()), "unsupported network protocol"),
        (v2(family=0x31, body=b"x" * 216), "unsupported network protocol"),
        (v2(family=0x00), "unsupported network protocol"),
        (v2(body=addresses()[:8]), "short address field"),
        (v2(length=LIMIT), "version 2 protocol header is too long"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(data, reason):
    with pytest.raises(ProtocolError, match=f"^{reason}$"):
        parse(data)


def test_ip_versions_that_are_not_in_use_are_refused():
    with pytest.raises(ProtocolError, match="bad or missing protocol type"):
        parse(b"PROXY TCP6 2001:db8:1::9 2001:db8::1 5555 25\r\n", frozenset((4,)))
    with pytest.raises(ProtocolError, match="unsupported network protocol"):
        parse(v2(body=addresses()), frozenset((6,)))


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (b"", "EOF"),
        (b"PRO", "short protocol header"),
        (b"PROXY TCP4", "missing protocol header terminator"),
        (V2_START + b"\x21", "short version 2 protocol header"),
    ],
)
def test_what_is_missing_in_half_a_header_is_named(data, missing):
    assert what_is_missing(data) == missing


@given(st.binary(max_size=80), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2_START, V2_START + b"\x21\x11"]))
def test_bytes_of_any_kind_are_a_header_or_refused_or_incomplete(noise, start):
    try:
        header = parse(start + noise)
    except ProtocolError:
        return
    assert header is None or 0 < header.length <= len(start + noise)
