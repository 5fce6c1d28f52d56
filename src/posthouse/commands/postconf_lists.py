"""postconf -a, -A, -l, -m, -b, -t and -T: what this house has to offer (postconf(1))."""

from __future__ import annotations

import os
import pkgutil

from posthouse.commands.postconf import Request, UsageError
from posthouse.commands.postconf_show import read_main

BUILT_INTO_LOOKUPS = ("unix",)


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
        raise UsageError(f"bad -T mode: {mode!r}")
    return 0


def _show_templates(request: Request) -> int:
    raise UsageError(f"the bounce templates of {os.path.join(request.directory, 'main.cf')} cannot be shown yet")
