"""The words of notices: the built-in templates and those of bounce_template_file (bounce(5))."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError

_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
_TIMES = ("delay_warning_time", "maximal_queue_lifetime")
_NAME = re.compile(r"\$(?:\$|\{(\w+)\}|\((\w+)\)|(\w+))")
_START = re.compile(r"^(\w+)\s*=\s*<<\s*(\S+)\s*$")
_LABEL = re.compile(r"[A-Za-z0-9-]+\Z")
_HEADERS = {"charset": "charset", "from": "sender", "subject": "subject", "postmaster-subject": "postmaster_subject"}


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of notice. text has its $names unexpanded; source is where it comes from, for warnings."""

    name: str
    subject: str
    text: str
    postmaster_subject: str = ""
    sender: str = "MAILER-DAEMON (Mail Delivery System)"
    charset: str = "us-ascii"
    source: str = "built-in"


_FAILURE_TEXT = """\
This is the mail system at host $myhostname.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system
"""
_DELAY_TEXT = """\
This is the mail system at host $myhostname.

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system
"""
_SUCCESS_TEXT = """\
This is the mail system at host $myhostname.

Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

                   The mail system
"""
_VERIFY_TEXT = """\
This is the mail system at host $myhostname.

Enclosed is the mail delivery report that you requested.

                   The mail system
"""

BUILT_IN = {
    template.name: template
    for template in (
        Template("failure", "Undelivered Mail Returned to Sender", _FAILURE_TEXT, "Postmaster Copy: Undelivered Mail"),
        Template("delay", "Delayed Mail (still being retried)", _DELAY_TEXT, "Postmaster Warning: Delayed Mail"),
        Template("success", "Successful Mail Delivery Report", _SUCCESS_TEXT),
        Template("verify", "Mail Delivery Status Report", _VERIFY_TEXT),
    )
}


def load_templates(
    settings: Settings, warn: Callable[[str], None] = lambda _: None, path: str = ""
) -> dict[str, Template]:
    """The templates in force, by "failure", "delay", "success", "verify"; path replaces bounce_template_file.

    What is wrong with one template is for warn, and the built-in one serves. Raises ConfigError with file and line.
    """
    path = path or settings.text("bounce_template_file")
    if not path:
        return BUILT_IN
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"open {path}: {reason}", parameter="bounce_template_file") from error
    return BUILT_IN | parse_templates(text, path, warn)


def parse_templates(text: str, source: str, warn: Callable[[str], None] = lambda _: None) -> dict[str, Template]:
    """The templates of a file: "name_template = <<EOF" up to a line EOF; # comments and empty lines between them."""
    found: dict[str, Template] = {}
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        start = _START.match(line)
        if start is None:
            raise ConfigError("expected 'failure_template = <<EOF' or the like", file=source, line=number)
        body: list[str] = []
        last = number
        for place, part in lines:
            last = place
            if part == start[2]:
                break
            body.append(part)
        else:
            warn(f'{source}, line {last}: missing "{start[2]}" end marker')
        name = start[1].removesuffix("_template")
        if name not in BUILT_IN:
            warn(f"{source}, line {last}: unknown template name: {start[1]} -- ignoring this template")
            continue
        try:
            found[name] = _one_template(BUILT_IN[name], body, source)
        except _Unusable as problem:
            first, *others = problem.lines
            warn(f"{source}: {first}")
            for other in others:
                warn(other)
    return found


class _Unusable(Exception):
    """A template that cannot be used, and the lines that say why."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


def _one_template(base: Template, body: list[str], source: str) -> Template:
    """A template from its lines. Raises _Unusable."""
    fields, rest = _fields_of(base, body)
    lines = body[rest + 1 :] if rest and rest < len(body) and not body[rest].strip() else body[rest:]
    if lines and not lines[0].strip() and not rest:
        lines = lines[1:]
    if not lines:
        raise _Unusable(f"missing message text in {base.name} template -- ignoring this template")
    text, charset = "\n".join(lines) + "\n", fields.get("charset", base.charset)
    if not text.isascii() and charset.lower() == "us-ascii":
        raise _Unusable(
            f"8-bit message text in {base.name} template",
            "please specify a charset value other than us-ascii",
            "-- ignoring this template for now",
        )
    return Template(
        base.name,
        fields.get("subject", base.subject),
        text,
        fields.get("postmaster_subject", base.postmaster_subject),
        fields.get("sender", base.sender),
        charset,
        source,
    )


def _fields_of(base: Template, body: list[str]) -> tuple[dict[str, str], int]:
    """The fields at the start of a template, and how many lines they are. Raises _Unusable."""
    fields: dict[str, str] = {}
    for number, line in enumerate(body):
        label, colon, value = line.partition(":")
        if not colon or not _LABEL.match(label):
            return fields, number
        if label.lower() not in _HEADERS:
            raise _Unusable(f'unknown "{label}" header label in {base.name} template -- ignoring this template')
        if not value.strip():
            raise _Unusable(f'empty "{label}" header value in {base.name} template -- ignoring this template')
        if not value.isascii():
            raise _Unusable(f'non-ASCII "{label}" header value in {base.name} template -- ignoring this template')
        fields[_HEADERS[label.lower()]] = value.strip()
    return fields, len(body)


def expand(template: Template, settings: Settings, warn: Callable[[str], None]) -> str:
    """The text with its $names filled in; warn is told of values that cannot be said in the unit asked for."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name is None:
            return "$"
        for parameter in _TIMES:
            unit = name.removeprefix(f"{parameter}_")
            if unit in _UNITS:
                return _in_units(template, settings, parameter, unit, warn)
        return settings.text(name) if settings.knows(name) else ""

    return _NAME.sub(value, template.text)


def _in_units(template: Template, settings: Settings, parameter: str, unit: str, warn: Callable[[str], None]) -> str:
    seconds = settings.seconds(parameter)
    amount = (seconds + _UNITS[unit] // 2) // _UNITS[unit] if seconds >= _UNITS[unit] else 0
    if seconds and not amount:
        name = f"{parameter}_{unit}"
        place = f"[{template.source}]" if template.source == "built-in" else template.source
        warn(f'{place}: zero result in {template.name} template conversion of parameter "{name}"')
        warn(f'please reduce time unit "{unit}" of "{name}" in {template.name} template')
        warn("for instructions see the bounce(5) manual")
    return str(amount)
