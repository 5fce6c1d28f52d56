"""What a configuration refers to and is not there: tables, and services of master.cf."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence

from posthouse.config.check import Finding
from posthouse.config.main_cf import Place
from posthouse.config.master_cf import Service
from posthouse.config.parameters import PARAMETERS
from posthouse.config.settings import Settings
from posthouse.config.types import Kind
from posthouse.config.word_places import divide, place_of_word
from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup.network_set import BadNetwork, address_bits, parse_network
from posthouse.lookup.table import Table, open_table, table_types
from posthouse.policy.access_action import Word, parse_action
from posthouse.policy.catalogue import Takes, find
from posthouse.policy.proof.contents import Contents, read_contents
from posthouse.policy.proof.mistakes import LISTS, check_answers
from posthouse.policy.search_order import table_with_order
from posthouse.policy.words import without_braces

_TRANSPORTS = (
    "content_filter", "default_transport", "fallback_transport", "local_transport", "mailbox_transport",
    "relay_transport", "virtual_transport", "default_filter_nexthop",
)  # fmt: skip
_TRANSPORT_MAPS = ("transport_maps", "sender_dependent_default_transport_maps", "mailbox_transport_maps",
                   "fallback_transport_maps")  # fmt: skip
_WITH_TABLES = ("mynetworks", "mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains",
                "permit_mx_backup_networks", "smtpd_authorized_xclient_hosts",
                "smtpd_authorized_xforward_hosts")  # fmt: skip
_HOSTS = ("mynetworks", "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts")


class References:
    """Looks at one view; what it has said of a table or service it does not say again."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._transports = {service.name for service in services if service.type != "inet"}
        self._said: set[str] = set()

    def check(self, settings: Settings, written: Iterable[str]) -> Iterator[Finding]:
        """The parameters that this view sets itself."""
        classes = settings.items("smtpd_restriction_classes")
        for name in written:
            parameter = PARAMETERS.get(name)
            if name in LISTS or name in classes:
                yield from self._list(settings, name)
            elif parameter is not None and (parameter.kind is Kind.MAPS or name in _WITH_TABLES):
                yield from self._tables(settings, name)
            if name in _TRANSPORTS:
                yield from self._transport(settings.text(name), settings, name)
            if name == "cleanup_service_name":
                yield from self._transport(settings.text(name), settings, name)
            if name in _HOSTS or name == "permit_mx_backup_networks":
                yield from _networks(settings, name)

    def _list(self, settings: Settings, parameter: str) -> Iterator[Finding]:
        words = divide(settings.text(parameter))
        for word, following in zip(words, [*words[1:], ""], strict=False):
            restriction = find(word)
            if restriction is None:
                continue
            if restriction.takes is Takes.TABLE and ":" in following:
                place = place_of_word(settings, parameter, following)
                yield from self._access(settings, following, parameter, place)
            elif restriction.takes is Takes.SERVER and ":" in following:
                yield from self._server(settings, following, parameter)
            elif restriction.name.startswith("reject_unverified_") and "verify" not in self._transports:
                place = place_of_word(settings, parameter, word)
                text = f"{word} needs the service verify, which is not in master.cf"
                yield from self._once(text, Finding("warning", place.file, place.line, parameter, text))

    def _access(self, settings: Settings, argument: str, parameter: str, place: Place) -> Iterator[Finding]:
        try:
            table, _ = table_with_order(argument)
        except ConfigError as problem:
            yield from self._once(argument, Finding("warning", place.file, place.line, parameter, str(problem)))
            return
        yield from self._table(settings, table, parameter, place)
        yield from self._answers(settings, table, place)

    def _answers(self, settings: Settings, spec: str, place: Place) -> Iterator[Finding]:
        if f"answers {spec}" in self._said:
            return
        self._said.add(f"answers {spec}")
        contents = read_contents(spec, settings)
        yield from check_answers(contents, settings)
        for line in contents.lines:
            action = parse_action(line.value)
            if action.word is not Word.FILTER or ":" not in action.argument:
                continue
            name = action.argument.partition(":")[0]
            if name not in self._transports:
                text = f"FILTER {action.argument} (for {line.key}): there is no service {name} in master.cf"
                text += _suggested(name, self._transports)
                file = line.file if line.number else place.file
                yield from self._once(text, Finding("warning", file, line.number or place.line, "", text))

    def _server(self, settings: Settings, word: str, parameter: str) -> Iterator[Finding]:
        kind, _, path = without_braces(word).split(",")[0].partition(":")
        folder, _, name = path.strip().rpartition("/")
        if kind != "unix" or folder not in {"private", "public"} or name in self._transports:
            return
        if os.path.exists(os.path.join(settings.text("queue_directory"), path)):
            return
        place = place_of_word(settings, parameter, word)
        text = f"{word}: there is no service {name} in master.cf{_suggested(name, self._transports)}"
        yield from self._once(text, Finding("warning", place.file, place.line, parameter, text))

    def _transport(self, value: str, settings: Settings, parameter: str) -> Iterator[Finding]:
        name = value.partition(":")[0].strip()
        if not name or name in self._transports:
            return
        place = settings.place(parameter) or Place("", 0)
        text = f"{parameter} = {value}: there is no service {name} in master.cf{_suggested(name, self._transports)}"
        yield from self._once(text, Finding("warning", place.file, place.line, parameter, text))

    def _tables(self, settings: Settings, parameter: str) -> Iterator[Finding]:
        for item in settings.items(parameter):
            spec = item.lstrip("!")
            if ":" not in spec or spec.startswith("[") or address_bits(spec.partition("/")[0]):
                continue
            place = place_of_word(settings, parameter, item)
            yield from self._table(settings, spec, parameter, place)
            if parameter in _TRANSPORT_MAPS:
                yield from self._routes(read_contents(spec, settings))

    def _routes(self, contents: Contents) -> Iterator[Finding]:
        for line in contents.lines:
            name, colon, _ = line.value.partition(":")
            if not colon:
                text = f"{line.key} {line.value}: it must be transport:nexthop"
                yield from self._once(f"{contents.spec} {text}", Finding("warning", line.file, line.number, "", text))
            elif name and name not in self._transports and name.upper() != "DUNNO" and "$" not in name:
                text = f"{line.key} {line.value}: there is no service {name} in master.cf"
                text += _suggested(name, self._transports)
                yield from self._once(f"{contents.spec} {text}", Finding("warning", line.file, line.number, "", text))

    def _table(self, settings: Settings, spec: str, parameter: str, place: Place) -> Iterator[Finding]:
        kind = spec.removeprefix("proxy:").partition(":")[0]
        reason = _trouble(open_table(spec, settings))
        if not reason:
            return
        text = f"{spec}: {reason}"
        if kind not in table_types():
            near = difflib.get_close_matches(kind, table_types(), n=1)
            text = f"{reason}{f'; did you mean {near[0]}:?' if near else ''}"
        else:
            text += near_file(spec.removeprefix("proxy:").partition(":")[2])
        yield from self._once(f"table {spec}", Finding("warning", place.file, place.line, parameter, text))

    def _once(self, key: str, finding: Finding) -> Iterator[Finding]:
        if key not in self._said:
            self._said.add(key)
            yield finding


def _trouble(table: Table) -> str:
    try:
        return table.unavailable
    except LookupFailed as problem:
        return str(problem)


def _suggested(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def near_file(path: str) -> str:
    """A hint at a file whose name is nearly that of one that is not there."""
    if not path.startswith("/") or os.path.exists(path):
        return ""
    folder = path
    while folder not in {"/", ""} and not os.path.exists(folder):
        missing, folder = os.path.basename(folder), os.path.dirname(folder)
    try:
        near = difflib.get_close_matches(missing, os.listdir(folder), n=1, cutoff=0.75)
    except OSError:
        return ""
    return f"; did you mean {os.path.join(folder, near[0])}?" if near else ""


def _networks(settings: Settings, parameter: str) -> Iterator[Finding]:
    """Items that are no networks; of hosts, those that look like one."""
    for item in settings.items(parameter):
        bare = item.lstrip("!")
        is_other = bare.startswith("/") or (":" in bare and not bare.startswith("[") and not address_bits(bare))
        looks_like_one = bare.startswith("[") or "/" in bare or bare.replace(".", "").isdigit()
        if is_other or (parameter in _HOSTS and not looks_like_one):
            continue
        try:
            parse_network(bare)
        except BadNetwork as problem:
            place = place_of_word(settings, parameter, item)
            text = f"{parameter}: {problem}"
            if parameter == "permit_mx_backup_networks" and not looks_like_one:
                text = (
                    f"{parameter} = {item}: it lists networks of primary mail exchangers, not domains; "
                    "the domain belongs in relay_domains"
                )
            yield Finding("warning", place.file, place.line, parameter, text)
