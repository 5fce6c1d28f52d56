"""postconf -a, -A, -l, -m, -b, -t and -T: what this house has to offer (postconf(1))."""

from __future__ import annotations

import os
import pkgutil
import sys

from posthouse.commands.postconf import Request, warn
from posthouse.commands.postconf_show import read_main
from posthouse.errors import ConfigError


def show(request: Request) -> int:
    """The list that is asked for."""
    flags = request.flags
    if flags & set("mbt"):
        read_main(os.path.join(request.directory, "main.cf"))
    if "m" in flags:
        _print(table_types())
    elif "l" in flags:
        _print(["flock", "fcntl", "dotlock"])
    elif "a" in flags:
        _print(sasl_types())
    elif "A" in flags:
        _print(["cyrus"])
    elif "T" in flags:
        return _show_tls(request.tls)
    else:
        return _show_templates(request)
    return 0


def _print(names: list[str]) -> None:
    for name in names:
        print(name)


def modules_in(package: str) -> list[str]:
    """The modules of a package, by file name, without importing any of them."""
    import importlib.util

    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return sorted(module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_"))


def table_types() -> list[str]:
    """The types of lookup tables: one file each in posthouse.lookup.tables."""
    return [name.removesuffix("_") for name in modules_in("posthouse.lookup.tables")]


def sasl_types() -> list[str]:
    """What smtpd_sasl_type may be: one file each in posthouse.sasl."""
    found = [name for name in modules_in("posthouse.sasl") if name in {"cyrus", "dovecot", "posthouse"}]
    return found or ["dovecot"]


def _show_tls(mode: str) -> int:
    import ssl

    if mode in {"compile-version", "run-version"}:
        print(ssl.OPENSSL_VERSION)
    elif mode == "public-key-algorithms":
        _print(["rsaEncryption", "rsassaPss", "id-ecPublicKey", "ED25519", "ED448"])
    else:
        warn(f"unknown 'postconf -T' mode: {mode}")
        return 1
    return 0


def _show_templates(request: Request) -> int:
    """The texts of bounces: as they are configured (-t), or filled in (-b)."""
    from posthouse.bounce.templates import BUILT_IN, expand, load_templates
    from posthouse.config.settings import load

    settings = load(request.directory)
    path = request.names[0] if request.names else settings.text("bounce_template_file")
    try:
        templates = load_templates(settings, _warn_of_template, path) if path else BUILT_IN
    except ConfigError as problem:
        print(f"postfix/bounce: fatal: {problem}", file=sys.stderr)
        return 1
    blocks = []
    for name, template in templates.items():
        if "b" in request.flags:
            blocks.append(f"expanded_{name}_text = <<EOF\n{expand(template, settings, warn)}EOF\n")
            continue
        head = f"Charset: {template.charset}\nFrom: {_standard_sender(template.sender)}\nSubject: {template.subject}\n"
        if template.postmaster_subject:
            head += f"Postmaster-Subject: {template.postmaster_subject}\n"
        blocks.append(f"{name}_template = <<EOF\n{head}\n{template.text}EOF\n")
    print("\n".join(blocks), end="")
    return 0


def _warn_of_template(text: str) -> None:
    """As the service that sends bounces would say it."""
    sys.stdout.flush()
    print(f"postfix/bounce: warning: {text}", file=sys.stderr)


def _standard_sender(sender: str) -> str:
    """Address (name), the old form of a sender, as name <address>."""
    address, parenthesis, name = sender.partition(" (")
    return f"{name.rstrip(')')} <{address}>" if parenthesis else sender
