"""What the log says of a message or of a client, put in order: `posthouse explain QUEUEID` and `--log IP`."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from posthouse.errors import ConfigError

USUAL_FILES = ("/var/log/mail.log", "/var/log/maillog", "/var/log/mail")
MOST_LINES = 20_000
_LINE = re.compile(r"^(?P<time>\S+ +\S+ \S+|\S+) \S+ (?P<label>[\w/.-]+)\[(?P<pid>\d+)\]: (?P<text>.*)$")
_REJECT = re.compile(
    r"^(?P<id>\w+): (?P<kind>reject|reject_warning|milter-reject|hold|discard|filter|redirect|warn|info): "
    r"(?P<where>\S+) from (?P<name>[^\[]*)\[(?P<address>[^\]]*)\](?::\d+)?: (?P<said>.*?)"
    r"(?:; (?P<about>(?:from|to|proto|helo)=.*))?$"
)
_FIELD = re.compile(r"(from|to|helo)=<([^>]*)>")
_DELIVERY = re.compile(r"to=<(?P<to>[^>]*)>.*relay=(?P<relay>[^,]*),.*status=(?P<status>\w+) \((?P<why>.*)\)$")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: when, who (postfix/smtpd), what."""

    time: str
    label: str
    pid: str
    text: str


@dataclass(slots=True)
class Story:
    """The lines of one message or client, and what they come to."""

    subject: str
    lines: list[LogLine] = field(default_factory=list)
    refused: bool = False


def explain_log(options: argparse.Namespace) -> int:
    """1 where something was refused or nothing is known."""
    from posthouse.commands.posthouse_explain import read_configuration

    settings, _ = read_configuration(options.directory, options.overrides)
    path = log_file(settings.text("maillog_file"))
    with open(path, encoding="utf-8", errors="replace") as file:
        if options.queue_id:
            story = of_message(file, options.queue_id)
        else:
            story = of_client(file, options.log)
    if not story.lines:
        print(f"{path} has nothing about {story.subject}")
        return 1
    if options.json:
        print(
            json.dumps({"subject": story.subject, "refused": story.refused, "lines": list(map(_as_json, story.lines))})
        )
    else:
        for text in told(story):
            print(text)
    return int(story.refused)


def log_file(configured: str) -> str:
    """maillog_file, or where syslog usually puts mail's lines. Raises ConfigError."""
    candidates = (configured,) if configured else USUAL_FILES
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.R_OK):
            return path
    raise ConfigError(f"cannot read the log: {' or '.join(candidates)}")


def parsed(lines: Iterable[str]) -> Iterator[LogLine]:
    """The lines of our own daemons; of others nothing."""
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is not None:
            yield LogLine(found["time"], found["label"], found["pid"], found["text"])


def of_message(lines: Iterable[str], queue_id: str) -> Story:
    """All lines of a queue id."""
    story = Story(queue_id)
    for line in parsed(lines):
        if line.text.startswith(f"{queue_id}:") and len(story.lines) < MOST_LINES:
            story.lines.append(line)
            story.refused = story.refused or "status=bounced" in line.text or "reject:" in line.text
    return story


def of_client(lines: Iterable[str], address: str) -> Story:
    """The lines that name a client, and those of the messages that it brought."""
    story = Story(address)
    shown = f"[{address}]"
    messages: set[str] = set()
    for line in parsed(lines):
        queue_id = line.text.partition(":")[0]
        if shown in line.text or queue_id in messages:
            if f"{queue_id}: client=" in line.text:
                messages.add(queue_id)
            if len(story.lines) < MOST_LINES:
                story.lines.append(line)
            story.refused = story.refused or ": reject: " in line.text
    return story


def told(story: Story) -> Iterator[str]:
    """The story in words."""
    yield f"{story.subject}, as the log has it:"
    asked: dict[str, str] = {}
    for line in story.lines:
        yield f"   {line.time} {line.label.rpartition('/')[2]}: {in_words(line.text)}"
        question = how_to_ask(line.text)
        if question:
            asked[question] = ""
    if asked:
        yield "To see which rule decides so with the configuration as it is now:"
        yield from (f"   {question}" for question in asked)


def in_words(text: str) -> str:
    """A line without what is for programs."""
    refused = _REJECT.match(text)
    if refused is not None:
        fields = dict(_FIELD.findall(refused["about"] or ""))
        whom = f", from <{fields['from']}>" if "from" in fields else ""
        whom += f" to <{fields['to']}>" if "to" in fields else ""
        word = {"reject": "refused", "reject_warning": "would have been refused"}.get(refused["kind"], refused["kind"])
        client = f"{refused['name']}[{refused['address']}]"
        return f"{word} at {refused['where']} from {client}{whom}: {refused['said']}"
    delivered = _DELIVERY.search(text)
    if delivered is not None:
        word = {"sent": "delivered", "deferred": "waits", "bounced": "given back"}.get(
            delivered["status"], delivered["status"]
        )
        return f"<{delivered['to']}> {word} ({delivered['relay']}): {delivered['why']}"
    return text


def how_to_ask(text: str) -> str:
    """The question to `posthouse explain` about a refusal in the log; "" for other lines."""
    refused = _REJECT.match(text)
    if refused is None or refused["kind"] not in {"reject", "reject_warning"}:
        return ""
    fields = dict(_FIELD.findall(refused["about"] or ""))
    if "to" not in fields:
        return ""
    words = ["posthouse explain --client", refused["address"], "--client-name", refused["name"]]
    if fields.get("helo"):
        words += ["--helo", fields["helo"]]
    words += ["--from", f"'{fields.get('from', '')}'", "--to", f"'{fields['to']}'"]
    return " ".join(words)


def _as_json(line: LogLine) -> dict[str, str]:
    return {"time": line.time, "daemon": line.label, "text": line.text, "in_words": in_words(line.text)}
