"""The view of a configuration that the stages of the house ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.config.settings import Place, from_text, load
from posthouse.errors import ConfigError

MAIN = """\
# the network
myhostname = mail.example.com
mynetworks = 192.0.2.0/28,
    10.0.0.0/8
# a comment within

  {2001:db8::/32 }
relay_destination_concurrency_limit = 3
my_own = $myhostname/$mydomain
maximal_queue_lifetime = 2
myhostname = later.example.com
"""


def test_the_last_setting_of_a_name_wins() -> None:
    settings = from_text(MAIN)
    assert settings.text("myhostname") == "later.example.com"
    assert settings.place("myhostname") == Place("/etc/postfix/main.cf", 11)


def test_lines_are_continued_across_comments() -> None:
    settings = from_text(MAIN)
    assert settings.items("mynetworks") == ("192.0.2.0/28", "10.0.0.0/8", "2001:db8::/32")


def test_a_name_that_main_cf_defines_is_expanded() -> None:
    settings = from_text(MAIN)
    assert settings.raw("my_own") == "$myhostname/$mydomain"
    assert settings.text("my_own") == "later.example.com/example.com"
    assert settings.knows("my_own")


def test_an_unknown_name_is_a_key_error() -> None:
    settings = from_text(MAIN)
    assert not settings.knows("no_such_thing")
    with pytest.raises(KeyError):
        settings.text("no_such_thing")


def test_a_time_without_a_unit_has_that_of_its_default() -> None:
    settings = from_text(MAIN)
    assert settings.seconds("maximal_queue_lifetime") == 2 * 86400
    assert settings.seconds("queue_run_delay") == 300
    assert settings.seconds("delay_warning_time") == 0
    assert settings.seconds("postscreen_greet_wait") == 6
    assert from_text("delay_warning_time = 4\nstress = yes\n").seconds("delay_warning_time") == 4 * 3600


def test_defaults_follow_the_compatibility_level() -> None:
    old, new = from_text(""), from_text("compatibility_level = 3.6\n")
    assert old.flag("append_dot_mydomain")
    assert not new.flag("append_dot_mydomain")
    assert old.items("smtpd_relay_restrictions") == ()
    assert new.items("smtpd_relay_restrictions")[0] == "permit_mynetworks"
    assert new.text("relay_domains") == ""
    assert old.text("relay_domains") == old.text("mydestination")


def test_a_transport_has_its_own_limits_or_the_general_ones() -> None:
    settings = from_text(MAIN)
    assert settings.for_transport("relay", "destination_concurrency_limit") == "3"
    assert settings.for_transport("smtp", "destination_concurrency_limit") == "20"
    assert settings.for_transport("local", "destination_concurrency_limit") == "2"
    assert settings.for_transport("smtp", "initial_destination_concurrency") == "5"


def test_a_service_has_its_overrides_on_top() -> None:
    settings = from_text(MAIN + "mua_rules = permit_sasl_authenticated,reject\n")
    options = {"smtpd_client_restrictions": "$mua_rules", "syslog_name": "postfix/$service_name"}
    view = settings.with_overrides(options, "submission")
    assert view.items("smtpd_client_restrictions") == ("permit_sasl_authenticated", "reject")
    assert view.text("syslog_name") == "postfix/submission"
    assert view.service == "submission"
    assert settings.text("smtpd_client_restrictions") == ""


def test_what_is_expanded_later_is_kept_as_written() -> None:
    settings = from_text("mailbox_command = /usr/bin/deliver $USER ${home}\n")
    assert settings.text("mailbox_command") == "/usr/bin/deliver $USER ${home}"


@pytest.mark.parametrize(
    ("line", "ask", "text"),
    [
        ("message_size_limit = abc", "integer", "bad numerical configuration: message_size_limit = abc"),
        ("smtpd_soft_error_limit = 0", "integer", "invalid smtpd_soft_error_limit parameter value 0 < 1"),
        ("access_map_reject_code = 99999999999", "integer", "bad numerical configuration"),
        ("biff = perhaps", "flag", "bad boolean configuration: biff = perhaps"),
        ("queue_run_delay = 5x", "seconds", "parameter queue_run_delay: bad time value or unit: 5x"),
        ("queue_run_delay = 0", "seconds", r"invalid queue_run_delay: 0 \(min 1\)"),
        ("mail_owner =", "text", "bad string length 0 < 1: mail_owner ="),
        ("relayhost = ${x", "text", "truncated macro reference"),
        ("myorigin = $myorigin", "text", "nesting"),
    ],
)
def test_a_bad_value_names_file_line_and_parameter(line: str, ask: str, text: str) -> None:
    name = line.split(" =", 1)[0]
    settings = from_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=text) as caught:
        getattr(settings, ask)(name)
    assert (caught.value.file, caught.value.line, caught.value.parameter) == ("/etc/postfix/main.cf", 2, name)


def test_the_domain_is_what_follows_the_host() -> None:
    assert from_text("myhostname = a.b.example.com\n").text("mydomain") == "b.example.com"
    assert from_text("myhostname = alone\n").text("mydomain") == "localdomain"


def test_myorigin_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "mailname").write_text("example.org\nmore\n")
    assert from_text(f"myorigin = {tmp_path}/mailname\n").text("myorigin") == "example.org"


def test_own_networks_follow_the_style() -> None:
    host = from_text("compatibility_level = 3.6\ninet_protocols = ipv4\n").items("mynetworks")
    assert "127.0.0.1/32" in host
    subnet = from_text("mynetworks_style = subnet\ninet_interfaces = loopback-only\n").items("mynetworks")
    assert "127.0.0.0/8" in subnet


def test_the_directory_comes_from_the_argument_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.cf").write_text("myhostname = here.example.com\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    assert load().text("myhostname") == "here.example.com"
    assert load(str(tmp_path)).text("config_directory") == str(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        load(str(tmp_path / "absent"))


def test_a_line_that_sets_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="line 2: missing '=' after attribute name: \"what is this\""):
        from_text("a = b\nwhat is this\n")
