"""posthouse explain: why a mail is or was refused, rule by rule with file and line, and where it would go or went."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from posthouse.errors import ConfigError, PosthouseError

if TYPE_CHECKING:
    from posthouse.config.master_cf import Service
    from posthouse.config.settings import Settings
    from posthouse.master.explaining import Decision, StageAnswer
    from posthouse.master.routing import Step
    from posthouse.policy.request import Request

EXAMPLES = """examples:
  posthouse explain --client 198.51.100.7 --from friend@sender.test --to info@example.com
  posthouse explain --client 198.51.100.7 --to info@example.com -o smtpd_delay_reject=no
  posthouse explain --client 198.51.100.7 --sasl joe@example.com --from joe@example.com --header-from boss@example.com \
      --to friend@sender.test --service submission
  posthouse explain 4hK2Zq1x3Hz9
  posthouse explain --log 198.51.100.7
"""


def main(argv: list[str] | None = None) -> int:
    """0 where the mail comes (or came) in, 1 where not, 64 for a wrong question, 78 for a broken configuration."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        if options.queue_id or options.log:
            from posthouse.commands.explain_log import explain_log

            return explain_log(options)
        if not options.client or not options.to:
            parser.print_usage(sys.stderr)
            print("posthouse explain: --client and --to say what is asked (or a queue id, or --log)", file=sys.stderr)
            return 64
        return _explain(options)
    except PosthouseError as trouble:
        print(f"posthouse explain: {trouble}", file=sys.stderr)
        return 78


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="posthouse explain",
        description=__doc__.partition(": ")[2],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("queue_id", nargs="?", metavar="QUEUEID", help="tell of a message that came, from the log")
    add("--log", metavar="IP", help="tell of a client's sessions, from the log")
    add("--client", metavar="IP", help="the client's address")
    add("--client-name", metavar="NAME", help="its name (default: what the DNS says)")
    add("--helo", metavar="NAME", help="what it says in EHLO (default: its name)")
    add("--sasl", metavar="LOGIN", default="", help="the login that it has used")
    add("--tls", action="store_true", help="the session is encrypted")
    add("--from", dest="sender", metavar="ADDRESS", default="", help="sender (default: the null sender)")
    add("--to", metavar="ADDRESS", help="recipient")
    add("--header-from", metavar="ADDRESSES", help="what its From: says (default: the sender)")
    add("--size", type=int, default=0, metavar="BYTES", help="the message's size")
    add("--service", metavar="NAME", help="the service of master.cf (default: the first smtpd)")
    add("-o", dest="overrides", action="append", default=[], metavar="NAME=VALUE", help="as if main.cf said so")
    add("-c", dest="directory", metavar="DIR", help="the configuration directory")
    add("--json", action="store_true", help="for programs")
    return parser


def _explain(options: argparse.Namespace) -> int:
    import asyncio

    settings, services = read_configuration(options.directory, options.overrides)
    service = _service(services, options.service)
    view = settings.with_overrides(service.options, service.name, service.file, service.line) if service else settings
    for override in options.overrides:
        name, _, value = override.partition("=")
        view = view.with_overrides({name.strip(): value.strip()})
    return asyncio.run(_answer(options, settings, services, view))


def read_configuration(directory: str | None, overrides: Sequence[str]) -> tuple[Settings, tuple[Service, ...]]:
    """main.cf with -o on top, and master.cf (none of it where there is none)."""
    from posthouse.config.master_cf import read_master_cf
    from posthouse.config.settings import load

    if directory:
        os.environ["MAIL_CONFIG"] = directory
    settings = load(directory)
    for override in overrides:
        name, sign, value = override.partition("=")
        if not sign:
            raise ConfigError(f"-o {override}: expected name=value")
        settings = settings.with_overrides({name.strip(): value.strip()})
    return settings, tuple(read_master_cf(settings.config_directory))


def _service(services: Sequence[Service], name: str | None) -> Service | None:
    candidates = [service for service in services if service.command == "smtpd"]
    if name is None:
        return candidates[0] if candidates else None
    for service in candidates:
        if name in {service.name, service.name.rpartition(":")[2]}:
            return service
    known = ", ".join(service.name for service in candidates)
    raise ConfigError(f"there is no smtpd service {name} in master.cf; there are {known}")


async def _answer(
    options: argparse.Namespace, settings: Settings, services: tuple[Service, ...], view: Settings
) -> int:
    from posthouse.lookup import notices
    from posthouse.master.explaining import decide, make_house
    from posthouse.master.routing import Route
    from posthouse.system.dns import Resolver
    from posthouse.system.log import MemorySink

    sink = MemorySink()
    house = make_house(settings, services, sink, Resolver())
    with notices.gathered() as heard:
        request = await make_request(options, view, house.dns)
        decision = await decide(view, house, request)
        way: tuple[Step, ...] = ()
        if decision.refusal is None:
            way = await Route(house, options.sender).follow(options.to)
    said = [line.partition(": ")[2] for line in sink.lines] + [text for _, text in heard]
    if options.json:
        json.dump(_as_json(decision, way, said, view), sys.stdout, indent=2)
        print()
    else:
        for line in _lines(decision, way, said, view):
            print(line)
    return 1 if decision.refusal is not None else 0


async def make_request(options: argparse.Namespace, view: Settings, dns: Any) -> Request:
    """The session that is asked about; what is not said is found out or supposed."""
    from posthouse.policy.request import Request

    try:
        address = str(ipaddress.ip_address(options.client))
    except ValueError:
        raise ConfigError(f"--client {options.client}: this is no IP address") from None
    request = Request(address, client_port="0", size=options.size, protocol_name="ESMTP")
    if options.client_name:
        request.client_name = request.reverse_client_name = options.client_name
        if options.client_name == "unknown":
            request.client_name_code = request.reverse_client_name_code = 5
    else:
        names = await dns.client_names(address)
        request.client_name, request.reverse_client_name = names.name, names.reverse_name
        request.client_name_code, request.reverse_client_name_code = names.name_code, names.reverse_code
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    request.helo_name = options.helo or (request.client_name if request.client_name != "unknown" else literal)
    request.sender, request.recipient = _bare(options.sender), _bare(options.to)
    told = options.sender if options.header_from is None else options.header_from
    header = f"From: {told}\n".encode("utf-8", "surrogateescape") if told else b""
    request.header = lambda: header
    if options.sasl:
        request.sasl_username, request.sasl_method = options.sasl, "PLAIN"
    if options.tls or options.sasl or view.flag("smtpd_tls_wrappermode"):
        request.encryption_protocol, request.encryption_cipher = "TLSv1.3", "TLS_AES_256_GCM_SHA384"
        request.encryption_keysize = 256
    return request


def _bare(address: str) -> str:
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address


# Text


def _lines(decision: Decision, way: Sequence[Step], said: Sequence[str], view: Settings) -> Iterator[str]:
    for stage in decision.stages:
        yield from _stage_lines(stage, view)
    if decision.refusal is None:
        yield "The mail comes in."
        yield from way_lines(decision, way, view)
    else:
        yield "The mail does not come in."
    if said:
        yield "The log would say:"
        yield from (f"   {line}" for line in dict.fromkeys(said))


def _stage_lines(stage: StageAnswer, view: Settings) -> Iterator[str]:
    from posthouse.policy.proof.dialogue import found, trace_lines

    yield f"C: {stage.command}"
    yield from trace_lines(stage.trace, view)
    for fact in stage.facts:
        yield f"   does the address exist? {fact.kind} {fact.where}: {fact.key}: {found(fact.answer)}"
    for note in stage.notes:
        yield f"   {note}"
    yield f"S: {reply_of(stage)}"


def reply_of(stage: StageAnswer) -> str:
    """The reply as on the wire; of one that passes, its code."""
    if stage.refusal is not None:
        return f"{stage.refusal.code} {stage.refusal.dsn} {stage.refusal.text}"
    return {"DATA": "354"}.get(stage.command, "220" if stage.command.startswith("connection") else "250")


def way_lines(decision: Decision, way: Sequence[Step], view: Settings) -> Iterator[str]:
    """What happens to it then."""
    filtered = view.text("content_filter")
    for action in decision.actions:
        yield f"   {action.effect.value} {action.argument}".rstrip()
    if filtered:
        yield f"   first all of it goes to content_filter {filtered}"
    for parameter in ("always_bcc", "sender_bcc_maps", "recipient_bcc_maps"):
        if view.text(parameter):
            yield f"   a copy may go by {parameter} = {view.text(parameter)}"
    for step in way:
        yield f"   {'   ' * step.depth}{step.text}"


def _as_json(decision: Decision, way: Sequence[Step], said: Sequence[str], view: Settings) -> dict[str, object]:
    from posthouse.policy.proof.dialogue import where

    stages = [
        {
            "command": stage.command,
            "rules": [
                {
                    "rule": entry.rule,
                    "list": entry.parameter,
                    "place": where(view, entry.parameter, entry.rule) if entry.parameter else "",
                    "depth": entry.depth,
                    "facts": [_fact(fact) for fact in entry.facts],
                    "answer": entry.answer,
                }
                for entry in stage.trace
            ],
            "facts": [_fact(fact) for fact in stage.facts],
            "notes": list(stage.notes),
            "reply": reply_of(stage),
        }
        for stage in decision.stages
    ]
    return {
        "accepted": decision.refusal is None,
        "stages": stages,
        "actions": [f"{action.effect.value} {action.argument}".rstrip() for action in decision.actions],
        "route": [{"depth": step.depth, "text": step.text} for step in way],
        "log": list(dict.fromkeys(said)),
    }


def _fact(fact: Any) -> dict[str, object]:
    return {"kind": fact.kind, "where": fact.where, "key": fact.key, "answer": fact.answer}


if __name__ == "__main__":
    sys.exit(main())
