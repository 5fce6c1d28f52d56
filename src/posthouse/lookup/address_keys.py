"""Which keys a table is asked for an address, and in which order: virtual(5), canonical(5), transport(5), access(5).

Addresses come in internal form; keys are in the form a table has them, local parts quoted where they must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from posthouse.lookup.maps import Maps
from posthouse.mail.address import quote_localpart, split_extension

IsLocal = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the extension (with its delimiter, "+foo") that was left out of it.

    partial: it is only part of what is looked for, so tables of patterns, which see the whole, are not asked.
    """

    text: str
    extension: str = ""
    partial: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a table said. key is the one that was found; extension ("+foo") is what it left out."""

    value: str
    extension: str = ""
    key: str = ""


def rewriting_keys(address: str, delimiters: str, is_local: IsLocal) -> Iterator[Key]:
    """virtual(5), canonical(5), generic(5), relocated(5), bcc maps.

    user+ext@domain, user@domain, user+ext and user (where is_local(domain): myorigin, mydestination, an address of this
    host), @domain.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    base, extension = _divide(local, delimiters)
    if at:
        for text in _forms(local):
            yield Key(f"{text}@{domain}", partial=False)
        if extension:
            yield from (Key(f"{text}@{domain}", extension) for text in _forms(base))
    if not at or is_local(domain):
        yield from (Key(text, partial=bool(at)) for text in _forms(local))
        if extension:
            yield from (Key(text, extension) for text in _forms(base))
    if at:
        yield Key(f"@{domain}")


def mailbox_keys(address: str, delimiters: str) -> Iterator[Key]:
    """virtual_mailbox_maps and its like (virtual(8)): user+ext@domain, user@domain, @domain."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    base, extension = _divide(local, delimiters)
    end = f"@{domain}" if at else ""
    yield Key(quote_localpart(local) + end, partial=False)
    if extension:
        yield Key(quote_localpart(base) + end, extension)
    if at:
        yield Key(f"@{domain}")


def full_keys(address: str, delimiters: str) -> Iterator[Key]:
    """user+ext@domain and user@domain, nothing else."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    base, extension = _divide(local, delimiters)
    end = f"@{domain}" if at else ""
    yield Key(quote_localpart(local) + end, partial=False)
    if extension:
        yield Key(quote_localpart(base) + end, extension)


def transport_keys(address: str, delimiters: str, *, parents_match: bool) -> Iterator[Key]:
    """transport(5): user+ext@domain, user@domain, then the domain and its parents.

    parents_match: parent_domain_matches_subdomains has transport_maps, so a parent is asked for as "domain", else as
    ".domain". The "*" that matches all is the caller's to ask for at the end.
    """
    yield from full_keys(address, delimiters)
    domain = address.rpartition("@")[2]
    if "@" in address and domain:
        for text in domain_keys(domain, parents_match=parents_match):
            yield Key(text)


def access_keys(address: str, delimiters: str, *, parents_match: bool) -> Iterator[Key]:
    """access(5), mail addresses: user+ext@domain, user@domain, domain and its parents, user+ext@, user@."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    base, extension = _divide(local, delimiters)
    quoted, quoted_base = quote_localpart(local), quote_localpart(base) if extension else ""
    yield Key(f"{quoted}@{domain}" if at else quoted, partial=False)
    if extension:
        yield Key(f"{quoted_base}@{domain}" if at else quoted_base, extension)
    if at and domain:
        for text in domain_keys(domain, parents_match=parents_match):
            yield Key(text)
    yield Key(f"{quoted}@")
    if extension:
        yield Key(f"{quoted_base}@", extension)


def domain_keys(domain: str, *, parents_match: bool) -> Iterator[str]:
    """A domain and its parents: "a.b.c", "b.c", "c", or where parents do not match by themselves "a.b.c", ".b.c", ".c".

    An address literal has no parents.
    """
    yield domain
    if domain.startswith("["):
        return
    place = domain.find(".", 1)
    while place >= 0:
        parent = domain[place + 1 :] if parents_match else domain[place:]
        if parent.strip("."):
            yield parent
        place = domain.find(".", place + 1)


def lookup_keys(maps: Maps, keys: Iterable[Key]) -> Found | None:
    """The first key that a table knows. Raises LookupFailed."""
    for key in keys:
        value = maps.lookup(key.text, partial=key.partial)
        if value is not None:
            return Found(value, key.extension, key.text)
    return None


async def find_keys(maps: Maps, keys: Iterable[Key]) -> Found | None:
    """lookup_keys, without holding up other work."""
    if not maps.blocking:
        return lookup_keys(maps, keys)
    for key in keys:
        value = await maps.find(key.text, partial=key.partial)
        if value is not None:
            return Found(value, key.extension, key.text)
    return None


async def find_address(
    maps: Maps, address: str, *, delimiters: str = "", is_local: IsLocal | None = None
) -> Found | None:
    """Ask tables for an address as virtual(5) and canonical(5) say; without is_local, no bare user is asked for."""
    if maps.empty or not address:
        return None
    return await find_keys(maps, rewriting_keys(address, delimiters, is_local or _nowhere))


def lookup_address(maps: Maps, address: str, *, delimiters: str = "", is_local: IsLocal | None = None) -> Found | None:
    """find_address for tables that do not block."""
    if maps.empty or not address:
        return None
    return lookup_keys(maps, rewriting_keys(address, delimiters, is_local or _nowhere))


def with_extension(address: str, extension: str) -> str:
    """The address (internal form) with the extension ("+foo") after its local part: propagate_unmatched_extensions."""
    if not extension:
        return address
    local, at, domain = address.rpartition("@")
    return f"{local}{extension}@{domain}" if at else f"{address}{extension}"


def _forms(localpart: str) -> tuple[str, ...]:
    """A local part as a table may have it: quoted where it must be, and then without quotes."""
    quoted = quote_localpart(localpart)
    return (localpart,) if quoted == localpart else (quoted, localpart)


def _nowhere(_domain: str) -> bool:
    return False


def _divide(localpart: str, delimiters: str) -> tuple[str, str]:
    """Base and extension, which keeps its delimiter."""
    base, extension = split_extension(localpart, delimiters)
    return base, localpart[len(base) :] if extension else ""
