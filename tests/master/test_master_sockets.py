"""Where services listen, from their names and inet_interfaces."""

from __future__ import annotations

import socket

import pytest

from posthouse.config.master_cf import Service
from posthouse.config.settings import from_text
from posthouse.errors import ConfigError
from posthouse.master.sockets import endpoints, split_service_name


def service(name, kind="inet", command="smtpd", private=False):
    return Service(name, kind, private, True, False, 0, False, 0, command)


def texts(main_cf, *services):
    return [endpoint.text for endpoint in endpoints(from_text(main_cf), services)]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("smtp", ("", "smtp")),
        ("127.0.0.1:10025", ("127.0.0.1", "10025")),
        ("[::1]:25", ("::1", "25")),
        ("localhost:submission", ("localhost", "submission")),
    ],
)
def test_a_service_name_is_a_port_and_perhaps_a_host(name, parts):
    assert split_service_name(name) == parts


@pytest.mark.parametrize(
    ("main_cf", "name", "wanted"),
    [
        ("inet_protocols = ipv4\n", "smtp", ["0.0.0.0:25"]),
        ("inet_protocols = ipv4\ninet_interfaces = loopback-only\n", "2525", ["127.0.0.1:2525"]),
        ("inet_protocols = ipv4\ninet_interfaces = 127.0.0.1, 127.0.0.3\n", "25", ["127.0.0.1:25", "127.0.0.3:25"]),
        ("inet_protocols = ipv4\ninet_interfaces = 127.0.0.3\n", "127.0.0.1:10025", ["127.0.0.1:10025"]),
        ("inet_protocols = ipv6\n", "[::1]:25", ["[::1]:25"]),
    ],
)
def test_addresses(main_cf, name, wanted):
    if "ipv6" in main_cf and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    assert texts(main_cf, service(name)) == wanted


def test_unix_services_and_others():
    main_cf = "queue_directory = /q\n"
    assert texts(main_cf, service("spf", "unix", "spawn", private=True)) == ["/q/private/spf"]
    assert texts(main_cf, service("cleanup", "unix", "cleanup")) == []


def test_a_port_that_nobody_knows_is_a_mistake():
    with pytest.raises(ConfigError, match="no port of the name"):
        texts("inet_protocols = ipv4\n", service("smpt"))
