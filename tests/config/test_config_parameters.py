"""The parameters that this house knows are those of Postfix 3.7, with the same defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posthouse.config import known, main_cf, master_cf, types
from posthouse.config.expand import expand
from posthouse.config.parameters import PARAMETERS, TOPICS
from posthouse.config.settings import from_text
from posthouse.config.transports import SUFFIXES
from posthouse.config.types import Kind
from posthouse.config.unsupported import UNSUPPORTED, reason_against

LATER = {"smtpd_hide_client_session"}  # of a later release than 3.7
FACTS = Path(__file__).with_name("postfix_3.7_defaults.txt")

SERVICES = "".join(
    f"{name} unix - n n - - {daemon}\n"
    for name, daemon in [
        *((name, name) for name in ("error", "lmtp", "local", "smtp", "virtual", "discard")),
        ("relay", "smtp"),
        ("retry", "error"),
        *((name, "pipe") for name in ("bsmtp", "ifmail", "maildrop", "mailman", "scalemail-backend", "uucp")),
    ]
)


def recorded() -> dict[str, str]:
    """What `postconf -d` of Postfix 3.7 prints, without what depends on the machine."""
    facts = {}
    for line in FACTS.read_text().splitlines():
        name, _, value = line.partition(" =")
        facts[name] = value.removeprefix(" ")
    return facts


def test_every_default_is_the_text_that_postfix_prints() -> None:
    ours = {name: parameter.default for name, parameter in PARAMETERS.items() if parameter.kind is not Kind.COMPUTED}
    ours = {name: default for name, default in ours.items() if not name.startswith("posthouse_") and name not in LATER}
    ours["service_name"] = ""
    ours |= {
        name: default
        for name, default in known.service_parameters(master_cf.parse_entries(SERVICES, "master.cf")).items()
        if name not in PARAMETERS
    }
    assert ours == recorded()


def test_postfix_has_1043_parameters_with_its_usual_services() -> None:
    assert len(recorded()) + 5 == 1043


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_sentence_about_the_mail(name: str) -> None:
    sentence = PARAMETERS[name].sentence
    assert sentence.endswith(".")
    assert len(sentence) > 15


def test_no_parameter_is_declared_twice() -> None:
    assert sum(len(topic.PARAMETERS) for topic in TOPICS) == len(PARAMETERS)


def test_every_default_is_a_good_value() -> None:
    settings = from_text("myhostname = mail.example.com\nmynetworks = 127.0.0.1\n")
    for parameter in PARAMETERS.values():
        match parameter.kind:
            case Kind.INTEGER | Kind.SIZE:
                settings.integer(parameter.name)
            case Kind.TIME:
                settings.seconds(parameter.name)
            case Kind.FLAG:
                settings.flag(parameter.name)
            case Kind.CHOICE:
                assert settings.text(parameter.name) in {"", *parameter.values}, parameter.name
            case _:
                settings.text(parameter.name)


def test_a_time_has_a_unit_in_its_default() -> None:
    for parameter in PARAMETERS.values():
        if parameter.kind is Kind.TIME and "$" not in parameter.default:
            assert re.fullmatch(r"\d+[smhdw]", parameter.default), parameter.name


def test_what_a_transport_may_override_exists() -> None:
    assert set(SUFFIXES.values()) <= set(PARAMETERS)


def test_what_is_not_honoured_is_a_parameter_and_has_a_reason() -> None:
    for name, reason in UNSUPPORTED.items():
        assert reason
        assert any(one == name or (name.endswith("*") and one.startswith(name[:-1])) for one in PARAMETERS), name
    assert reason_against("postscreen_greet_action")
    assert reason_against("myhostname") is None


def test_defaults_refer_only_to_known_names() -> None:
    for parameter in PARAMETERS.values():
        if parameter.kind is not Kind.TEMPLATE and parameter.name != "default_rbl_reply":
            for name in known.references(parameter.default):
                assert name in PARAMETERS or name in known.LEGACY, (
                    parameter.name,
                    name,
                )


def test_the_kinds_of_values_are_read_as_declared() -> None:
    size = PARAMETERS["message_size_limit"]
    assert types.parse_integer(size, "9999999999") == 9999999999
    with pytest.raises(ValueError, match="bad numerical configuration: message_size_limit = 10M"):
        types.parse_integer(size, "10M")
    assert expand("$x", {"x": "y"}.get) == "y"
    assert main_cf.split_setting("a = b") == ("a", "b")
