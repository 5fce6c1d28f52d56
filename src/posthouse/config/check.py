"""Whether a configuration makes sense: bad values, names that mean nothing, what is not honoured (postconf(5)).

This looks at main.cf and master.cf only; whether restrictions and tables make sense is for those who use them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from posthouse.config import known
from posthouse.config.main_cf import Place
from posthouse.config.master_cf import Entry, Service
from posthouse.config.parameters import PARAMETERS
from posthouse.config.settings import Settings
from posthouse.config.transports import SUFFIXES
from posthouse.config.types import Kind, Parameter
from posthouse.config.unsupported import reason_against
from posthouse.errors import ConfigError
from posthouse.maillog.policy import class_undefined

Severity = Literal["note", "warning", "fatal"]

MISTAKEN: Final[dict[str, str]] = {
    "smtpd_sasl_options": "smtpd_sasl_security_options",
    "smtp_sasl_options": "smtp_sasl_security_options",
    "lmtp_sasl_options": "lmtp_sasl_security_options",
    "virtual_mailbox_limit_maps": "virtual_mailbox_limit",
    "virtual_maps": "virtual_alias_maps",
    "smtpd_tls_key": "smtpd_tls_key_file",
    "smtpd_tls_cert": "smtpd_tls_cert_file",
}
"""Names that are written in place of others so often that nearness alone would not find them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to tell the administrator; a fatal one keeps the house from starting, a note is for those who ask.

    line is 1-based, 0 unknown.
    """

    severity: Severity
    file: str
    line: int
    parameter: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.text}"


def check(settings: Settings, services: Sequence[Service] = ()) -> list[Finding]:
    """All findings about main.cf, then those about each service's -o settings."""
    entries = [_as_entry(service) for service in services]
    main = settings.place_of_file()
    names = known.survey(settings.set_values(), entries, main, services[0].file if services else "")
    findings = list(_check_names(settings, names, settings.names()))
    findings += _undefined(settings, services, names)
    findings += _check_values(settings, settings.names())
    findings += _check_classes(settings, services)
    for service in services:
        view = settings.with_overrides(service.options, service.name, service.file, service.line)
        findings += _check_names(view, names, tuple(service.options))
        findings += _check_values(view, tuple(service.options))
    return findings


def _check_classes(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    # Differs from Postfix: told before the first client comes.
    parameter = "smtpd_restriction_classes"
    for name in settings.items(parameter):
        if not settings.knows(name) and not any(name in service.options for service in services):
            yield _finding(settings, "fatal", parameter, class_undefined(name))


def _as_entry(service: Service) -> Entry:
    words = [word for name, value in service.options.items() for word in ("-o", f"{{{name}={value}}}")]
    return Entry((service.name, service.type, *"-----", service.command), tuple(words), service.file, service.line)


def _finding(settings: Settings, severity: Severity, name: str, text: str) -> Finding:
    place = settings.place(name) or Place("", 0)
    return Finding(severity, place.file, place.line, name, text)


def suggestion(name: str) -> str:
    """The parameter that was probably meant; "" where none is near."""
    if name in MISTAKEN:
        return MISTAKEN[name]
    near = difflib.get_close_matches(name, PARAMETERS, n=1, cutoff=0.8)
    return near[0] if near else ""


def _check_names(settings: Settings, names: known.Names, written: Sequence[str]) -> Iterator[Finding]:
    for name in written:
        if names.knows(name) or name == "config_directory":
            continue
        meant = suggestion(name)
        hint = f"; did you mean {meant}?" if meant else ""
        yield _finding(settings, "warning", name, f"unused parameter: {name}={settings.raw(name)}{hint}")


def _undefined(settings: Settings, services: Sequence[Service], names: known.Names) -> Iterator[Finding]:
    for file, name in names.undefined:
        user = next((one for one in settings.names() if name in known.references(settings.raw(one))), "")
        place = settings.place(user) if user and file == settings.place_of_file() else None
        line = place.line if place else 0
        if not line:
            found = (service.line for service in services if _uses(service, name))
            line = next(found, 0)
        yield Finding("warning", file, line, name, f"undefined parameter: {name}{_hint(name)}")


def _hint(name: str) -> str:
    """What to do about a name that is used and defined nowhere."""
    if name.startswith("mua_"):
        return "; it is for you to define in main.cf (empty until then)"
    meant = suggestion(name)
    return f"; did you mean {meant}?" if meant else ""


def _uses(service: Service, name: str) -> bool:
    return any(name in known.references(value) for value in service.options.values())


def _check_values(settings: Settings, written: Sequence[str]) -> Iterator[Finding]:
    for name in written:
        parameter = PARAMETERS.get(name)
        try:
            wrong = _wrong_value(settings, name, parameter)
        except ConfigError as error:
            yield _finding(settings, "fatal", name, _with_inline_comment(settings.raw(name), error.text))
            continue
        if wrong:
            yield _finding(settings, "fatal", name, _with_inline_comment(settings.raw(name), wrong))
        elif _has_inline_comment(settings.raw(name)) and not _is_list_of_restrictions(settings, parameter, name):
            text = f'a comment must be on a line of its own: "#" is part of the value of {name}'
            yield _finding(settings, "warning", name, text)
        reason = reason_against(name)
        if reason and parameter is not None and settings.raw(name) != parameter.default:
            yield _finding(settings, "warning", name, f"{name} has no effect: {reason}")
        unbuilt = _unbuilt_value(settings, name)
        if unbuilt:
            yield _finding(settings, "warning", name, unbuilt)


def _unbuilt_value(settings: Settings, name: str) -> str:
    """What a good value asks for that is not there yet."""
    if name not in ("smtp_tls_security_level", "lmtp_tls_security_level"):
        return ""
    dns, level = settings.text(f"{name[:4]}_dns_support_level").lower(), settings.text(name).lower()
    if dns != "dnssec" or level not in ("dane", "dane-only"):
        return ""
    return f"{name} = {level} is not built yet: mail waits; use secure, verify or fingerprint, or smtp_tls_policy_maps"


def _wrong_value(settings: Settings, name: str, parameter: Parameter | None) -> str:
    """What is wrong with a value, where reading it does not raise."""
    if parameter is None:
        _read_of_transport(settings, name)
        return ""
    if parameter.kind in {Kind.INTEGER, Kind.SIZE}:
        settings.integer(name)
    elif parameter.kind is Kind.TIME:
        settings.seconds(name)
    elif parameter.kind is Kind.FLAG:
        settings.flag(name)
    else:
        value = settings.text(name)
        if parameter.kind is Kind.CHOICE and value and value.lower() not in parameter.values:
            return f"bad value: {name} = {value} (expected one of: {', '.join(parameter.values)})"
    return ""


def _read_of_transport(settings: Settings, name: str) -> None:
    """Read a <transport>_... value as the parameter it stands in for."""
    for suffix, general in SUFFIXES.items():
        if name.endswith(suffix) and general in PARAMETERS:
            if PARAMETERS[general].kind is Kind.TIME:
                settings.seconds(name)
            elif PARAMETERS[general].kind is Kind.INTEGER:
                settings.integer(name)
            return


def _is_list_of_restrictions(settings: Settings, parameter: Parameter | None, name: str) -> bool:
    """Those are read word by word elsewhere (policy.proof.mistakes)."""
    if parameter is not None:
        return parameter.kind is Kind.RESTRICTIONS
    return name in settings.items("smtpd_restriction_classes")


def _has_inline_comment(value: str) -> bool:
    return " #" in value or "\t#" in value


def _with_inline_comment(value: str, text: str) -> str:
    """The text of an error, with a hint where a comment has become part of the value."""
    return f'{text} (a comment must be on a line of its own: "#" is part of the value)' if "#" in value else text
