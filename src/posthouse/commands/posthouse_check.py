"""posthouse check: whether main.cf, master.cf and what they name make sense, and a proof that the relay is closed."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from posthouse.errors import ConfigError

if TYPE_CHECKING:
    from posthouse.config.check import Finding
    from posthouse.config.master_cf import Service
    from posthouse.config.settings import Settings
    from posthouse.master.judging import Judgement

WORDS = {"fatal": "fatal", "warning": "error", "note": "note"}
PATIENCE_S = 0.3


def main(argv: list[str] | None = None) -> int:
    """0 where nothing is wrong, 1 where something is, 2 where the house would not start."""
    options = _parser().parse_args(argv)
    if options.directory:
        os.environ["MAIL_CONFIG"] = options.directory
    settings, services, broken = _read(options.directory)
    if settings is None:
        findings, judged = broken, None
    else:
        from posthouse.master.judging import judge

        judged = judge(settings, services)
        findings = [*broken, *judged.findings]
        findings += _about_keys(settings, services)
        if not options.quiet:
            findings += _not_there(settings)
    if options.quiet:
        findings = [finding for finding in findings if finding.severity != "note"]
    if options.json:
        _print_json(findings, judged)
    else:
        _print(findings, judged, settings)
    severities = {finding.severity for finding in findings}
    return 2 if "fatal" in severities else 1 if "warning" in severities else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="posthouse check", description=__doc__.partition(": ")[2])
    parser.add_argument("-c", dest="directory", metavar="DIR", help="the configuration directory")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--quiet", "-q", action="store_true", help="leave out notes, which are no mistakes")
    return parser


def _read(directory: str | None) -> tuple[Settings | None, tuple[Service, ...], list[Finding]]:
    """Both files as far as they can be read, and what is wrong with the lines of one that cannot."""
    from posthouse.config.check import Finding
    from posthouse.config.master_cf import read_master_cf
    from posthouse.config.settings import load

    broken: list[Finding] = []
    try:
        settings = load(directory)
    except ConfigError as error:
        return None, (), [Finding("fatal", error.file, error.line, error.parameter, error.text)]
    services: tuple[Service, ...] = ()
    try:
        services = read_master_cf(settings.config_directory)
    except ConfigError as error:
        hint = getattr(error, "hint", "")
        text = f"{error.text} ({hint})" if hint else error.text
        broken.append(Finding("fatal", error.file, error.line, "", text))
    return settings, services, broken


def _not_there(settings: Settings) -> Iterator[Finding]:
    """What rules need and is not there at this moment: policy servers, a DNS server."""
    from posthouse.config.check import Finding
    from posthouse.config.word_places import divide, place_of_word
    from posthouse.policy.catalogue import find
    from posthouse.policy.proof.mistakes import LISTS

    asks_dns = ""
    for parameter in (*LISTS, *settings.items("smtpd_restriction_classes")):
        if not settings.is_set(parameter):
            continue
        for word, following in itertools.pairwise([*divide(settings.text(parameter)), ""]):
            restriction = find(word)
            if restriction is not None and restriction.needs_dns:
                asks_dns = asks_dns or word
            if word.lower() == "check_policy_service" and not _answers(following):
                place = place_of_word(settings, parameter, following)
                text = f"nobody listens at {following} now; mail would get smtpd_policy_service_default_action"
                yield Finding("note", place.file, place.line, parameter, text)
    if asks_dns and not os.path.exists("/etc/resolv.conf"):
        yield Finding("note", "/etc/resolv.conf", 0, "", f"{asks_dns} needs DNS, and this file is not there")


def _about_keys(settings: Settings, services: tuple[Service, ...]) -> Iterator[Finding]:
    """What is wrong with keys and certificates; a file that is not on this machine may be on another."""
    import datetime as dt

    from posthouse.config.check import Finding
    from posthouse.master.key_notes import key_notes
    from posthouse.master.keys import complaints, read_keys, sources_of, unfit

    sources = sources_of(settings, services)
    keys = read_keys(path for source in sources for path in source)
    for text in [*complaints(sources, keys, dt.datetime.now(dt.UTC)), *unfit(settings, services, keys)]:
        yield Finding("note" if ": cannot read " in text else "warning", "", 0, "", text)
    for file, text in key_notes(settings, services):
        yield Finding("note", file, 0, "", text)


def _answers(server: str) -> bool:
    """Whether a connection to inet:host:port can be made; of others nothing is said."""
    import socket

    kind, _, rest = server.strip("{} ").split(",")[0].partition(":")
    host, _, port = rest.rpartition(":")
    if kind != "inet" or not port.isdigit():
        return True
    try:
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), PATIENCE_S).close()
    except OSError:
        return False
    return True


def _print(findings: list[Finding], judged: Judgement | None, settings: Settings | None) -> None:
    for file, group in itertools.groupby(sorted(findings, key=lambda one: (one.file, one.line)), lambda one: one.file):
        print(file or "In general")
        for finding in group:
            line = f"line {finding.line}" if finding.line else ""
            print(f"  {line:9} {WORDS[finding.severity]:6} {finding.text}")
    if judged is not None and settings is not None:
        _print_proofs(judged, settings)
    if not findings:
        print("nothing is wrong")


def _print_proofs(judged: Judgement, settings: Settings) -> None:
    from posthouse.policy.proof.dialogue import in_words, session_lines
    from posthouse.policy.proof.relay import State

    if judged.proofs or judged.local:
        print("May strangers send mail through this host?")
    for proof in judged.proofs:
        print(f"  {proof.service}: {in_words(proof)}")
        if proof.state is not State.CLOSED:
            for line in session_lines(proof, judged.views.get(proof.service, settings)):
                print(f"      {line}")
    for name in judged.local:
        print(f"  {name}: only this machine reaches it")


def _print_json(findings: list[Finding], judged: Judgement | None) -> None:
    from posthouse.policy.proof.dialogue import as_json

    names = ("file", "line", "parameter", "text")
    told = [{"severity": WORDS[one.severity], **{name: getattr(one, name) for name in names}} for one in findings]
    proofs = [as_json(proof) for proof in judged.proofs] if judged else []
    json.dump({"findings": told, "relay": proofs, "local": judged.local if judged else []}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    sys.exit(main())
