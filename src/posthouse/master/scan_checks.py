"""What can be said about the scan services of master.cf before one runs, and about the amavisd.conf they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from posthouse.config.check import Finding, Severity
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.filters.scanner.rules import ScanRules, scan_rules


def check_scanners(settings: Settings, services: Sequence[Service]) -> Iterator[Finding]:
    """Findings about each scan service; the same amavisd.conf is spoken of once."""
    told: set[str] = set()
    for service in services:
        if service.command != "scan":
            continue
        view = settings.with_overrides(service.options, service.name, service.file, service.line)
        try:
            rules = scan_rules(view)
        except ConfigError as error:
            file, line = (error.file, error.line) if error.line else (service.file, service.line)
            yield Finding("fatal", file, line, error.parameter, f"service {service.name}: {error.text}")
            continue
        for beyond in rules.beyond:
            if beyond.text not in told:
                told.add(beyond.text)
                severity: Severity = "warning" if "not understood" in beyond.why else "note"
                yield Finding(severity, beyond.file, beyond.line, "posthouse_scan_amavisd_conf", beyond.why)
        yield from _check_service(service, view, rules, services)


def _check_service(
    service: Service, view: Settings, rules: ScanRules, services: Sequence[Service]
) -> Iterator[Finding]:
    is_milter = view.text("posthouse_scan_protocol") == "milter"
    known = {other.name for other in services if other.type != "inet"}
    if not is_milter and rules.transport not in known:
        text = f"service {service.name}: there is no service {rules.transport} in master.cf to hand scanned mail on"
        yield Finding("fatal", service.file, service.line, "posthouse_scan_transport", text)
    for backend, name in ((rules.spamd, "spamd"), (rules.clamd, "clamd")):
        if backend.down == "quarantine" and not is_milter and not any(rules.quarantines.values()):
            parameter = f"posthouse_scan_{name}_down"
            place = view.place(parameter)
            text = f"{parameter} = quarantine, but posthouse_scan_quarantine is not set: mail waits"
            yield Finding("warning", place.file if place else "", place.line if place else 0, parameter, text)
