"""All that can be said about a configuration before it runs: `postfix check`, start, reload, `posthouse check`.

config/check.py looks at values and names, policy/proof at restrictions, tables, services and the way of strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from posthouse.config import check
from posthouse.config.check import Finding
from posthouse.config.check_main import check_main
from posthouse.config.main_cf import Place
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.config.word_places import forget_files, place_of_word
from posthouse.errors import ConfigError
from posthouse.lookup import maps, notices, table
from posthouse.master.login_findings import check_logins
from posthouse.master.scan_checks import check_scanners
from posthouse.policy import closed_relay_check
from posthouse.policy.proof import Proof, State, prove_service
from posthouse.policy.proof.mistakes import check_lists
from posthouse.policy.proof.references import References
from posthouse.policy.proof.strangers import wide_networks
from posthouse.policy.proof.supposed import SupposedDns, supposed_probe
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.system.log import MemorySink

OVERRIDE = "posthouse_open_relay"
OVERRIDE_VALUE = "strangers_may_send_through_this_host"
_PLACE = re.compile(r"(?P<file>.+?), line (?P<line>\d+): (?P<text>.*)", re.DOTALL)


@dataclass(slots=True)
class Judgement:
    """findings in the order of files and lines; a proof for each smtpd service that strangers can reach.

    local: the names of smtpd services that listen on this machine only. views: the settings of those with a proof.
    """

    findings: list[Finding] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    local: list[str] = field(default_factory=list)
    views: dict[str, Settings] = field(default_factory=dict)


def judge(settings: Settings, services: Sequence[Service]) -> Judgement:
    """Read everything that the configuration names; nothing is left open. Raises nothing."""
    found = Judgement()
    with notices.gathered() as heard:
        try:
            _judge(settings, services, found)
        finally:
            table.forget_tables()
            maps.forget_maps()
            forget_files()
    found.findings += _about_tables(heard, found.findings)
    found.findings[:] = _once_each(found.findings)
    return found


def _judge(settings: Settings, services: Sequence[Service], found: Judgement) -> None:
    found.findings += check.check(settings, services)
    if any(finding.severity == "fatal" for finding in found.findings):
        _judge_lists(settings, services, found)
        return
    found.findings += check_main(settings, services)
    found.findings += check_scanners(settings, services)
    _judge_lists(settings, services, found)
    for service in services:
        if service.command == "smtpd":
            _judge_relay(service, _view(settings, service), found)


def _view(settings: Settings, service: Service) -> Settings:
    return settings.with_overrides(service.options, service.name, service.file, service.line)


def _judge_lists(settings: Settings, services: Sequence[Service], found: Judgement) -> None:
    references = References(services)
    views = [(settings, settings.names())]
    views += [(_view(settings, service), tuple(service.options)) for service in services if service.options]
    for view, written in views:
        for questions in (check_lists(view, written), references.check(view, written), check_logins(view, written)):
            try:
                found.findings += questions
            except ConfigError as error:
                if not any(finding.parameter == error.parameter for finding in found.findings):
                    found.findings.append(Finding("fatal", error.file, error.line, error.parameter, error.text))


def _judge_relay(service: Service, view: Settings, found: Judgement) -> None:
    """The proof, and what smtpd itself refuses to start without."""
    is_wanted = view.text(OVERRIDE) == OVERRIDE_VALUE
    try:
        house = House(view, (), MemorySink(), dns=SupposedDns(), verify=supposed_probe)
        house.rewriter = TrivialRewrite(view, house)
        if is_local(service, view):
            found.local.append(service.name)
            closed_relay_check(view)
            return
        found.findings += (*_too_trusting(view, house), *_too_trusting_of_proxies(service, view))
        proof = prove_service(service.name, view, house)
        found.proofs.append(proof)
        found.views[service.name] = view
        found.findings += _about_relay(service, view, proof, is_wanted=is_wanted)
        if proof.state is not State.OPEN:
            closed_relay_check(view)
    except ConfigError as error:
        file, line = (error.file, error.line) if error.line else (service.file, service.line)
        text = error.text if "smtpd_" in error.text else f"service {service.name}: {error.text}"
        found.findings.append(Finding("fatal", file, line, error.parameter, text))


def is_local(service: Service, view: Settings) -> bool:
    """Whether only this machine can reach the service. One behind a proxy has that proxy's clients."""
    if service.type in {"inet", "pass"} and view.text("smtpd_upstream_proxy_protocol"):
        return False
    return service.type not in {"inet", "pass"} or listens_on_loopback(service, view)


def listens_on_loopback(service: Service, view: Settings) -> bool:
    """Whether its addresses are this machine's own alone."""
    host = service.name.rpartition(":")[0].strip("[]") if service.type == "inet" else ""
    hosts = (host,) if host else view.items("inet_interfaces")
    return all(_is_loopback(one) for one in hosts)


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "loopback-only", "::1", "ip6-localhost"} or host.startswith("127.")


def _too_trusting(view: Settings, house: House) -> Iterator[Finding]:
    """Hosts that may say for whom they speak: with XCLIENT everybody could be whom he likes."""
    from posthouse.lookup.match_list import HostList
    from posthouse.policy.means import Means
    from posthouse.policy.proof.strangers import in_list

    means = Means(view, house)
    hosts = HostList(view, "smtpd_authorized_xclient_hosts")
    if not hosts.empty and in_list(hosts):
        place = view.place("smtpd_authorized_xclient_hosts") or Place("", 0)
        text = "open relay: smtpd_authorized_xclient_hosts lets anybody say with XCLIENT that he is a client of yours"
        severity = "warning" if view.text(OVERRIDE) == OVERRIDE_VALUE else "fatal"
        yield Finding(severity, place.file, place.line, "smtpd_authorized_xclient_hosts", text)  # type: ignore[arg-type]
    wide = wide_networks(means)
    if wide:
        place = view.place("mynetworks") or view.place("mynetworks_style") or Place("", 0)
        text = f"mynetworks takes everybody for one of yours, {wide[0]} for one"
        yield Finding("warning", place.file, place.line, "mynetworks", text)


def _too_trusting_of_proxies(service: Service, view: Settings) -> Iterator[Finding]:
    """A listener for everybody where everybody may say who he is."""
    name = "smtpd_upstream_proxy_protocol"
    if not view.text(name) or view.text("posthouse_upstream_proxy_networks") or listens_on_loopback(service, view):
        return
    place = view.place(name) or Place(service.file, service.line)
    text = (
        f"whoever reaches service {service.name} can say that he is one of mynetworks: name the load balancers in "
        "posthouse_upstream_proxy_networks, or keep others away from the port"
    )
    yield Finding("warning", place.file, place.line, name, text)


def _about_relay(service: Service, view: Settings, proof: Proof, *, is_wanted: bool) -> Iterator[Finding]:
    if proof.state is State.CLOSED:
        return
    file, line, parameter = _place_of(service, view, proof)
    if proof.state is State.OPEN:
        text = (
            f"open relay: service {service.name} lets strangers send mail to anybody: {proof.reason}"
            f" (posthouse check shows how; {OVERRIDE} = {OVERRIDE_VALUE} would allow it)"
        )
        yield Finding("warning" if is_wanted else "fatal", file, line, parameter, text)
    elif proof.state is State.NAMED and proof.session is not None:
        text = f"strangers may send mail to {proof.session.recipient}, which is not yours: {proof.reason}"
        yield Finding("warning", file, line, parameter, text)
    else:
        text = f"service {service.name} is not known to be a closed relay: {proof.reason}"
        yield Finding("warning", file, line, parameter, text)


def _place_of(service: Service, view: Settings, proof: Proof) -> tuple[str, int, str]:
    """The rule that lets the stranger in, else the lists that should not."""
    permitted = [entry for entry in proof.trace if entry.answer == "permit" and not entry.depth]
    names = [entry.parameter for entry in permitted[-1:]]
    names += [name for name, _ in proof.ways[:1]]
    for name in (*names, "smtpd_relay_restrictions", "smtpd_recipient_restrictions"):
        if view.place(name) is not None:
            word = permitted[-1].rule.split()[0] if permitted and names[:1] == [name] else ""
            place = place_of_word(view, name, word)
            return place.file, place.line, name
    return service.file, service.line, "smtpd_relay_restrictions"


def _about_tables(heard: Sequence[tuple[str, str]], said: Sequence[Finding]) -> Iterator[Finding]:
    """What tables had to say about their own files while they were read."""
    known = " ".join(finding.text for finding in said)
    for severity, text in heard:
        if severity == "error" and text in known:
            continue
        place = _PLACE.fullmatch(text)
        if place is None:
            if text not in known:
                yield Finding("warning", "", 0, "", text)
            continue
        file = place["file"].partition(" map ")[2] or place["file"]
        yield Finding("warning", file, int(place["line"]), "", place["text"])


def _once_each(findings: Sequence[Finding]) -> list[Finding]:
    """Fatal ones first, an open relay before all, then by file and line; each mistake once, whoever sees it."""
    order = {"fatal": 0, "warning": 1, "note": 2}
    unique = {(finding.file, finding.line, finding.text): finding for finding in findings}
    return sorted(
        unique.values(),
        key=lambda one: (order[one.severity], not one.text.startswith("open relay"), one.file, one.line),
    )
