"""Short names for what the bytes of a part are, as amavisd takes them from file(1): exe, exe-ms, zip, tar, asc ..."""

from __future__ import annotations

PEEK = 512  # bytes that are looked at
_MAGIC: tuple[tuple[int, bytes, tuple[str, ...]], ...] = (
    (0, b"MZ", ("exe", "exe-ms")),
    (0, b"\x7fELF", ("exe", "exe-unix")),
    (0, b"PK\x03\x04", ("zip",)),
    (0, b"PK\x05\x06", ("zip",)),
    (0, b"\x1f\x8b", ("gz",)),
    (0, b"BZh", ("bz2",)),
    (0, b"\xfd7zXZ\x00", ("xz",)),
    (0, b"7z\xbc\xaf\x27\x1c", ("7z",)),
    (0, b"Rar!\x1a\x07", ("rar",)),
    (257, b"ustar", ("tar",)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ("doc",)),
    (0, b"%PDF-", ("pdf",)),
    (0, b"\x89PNG\r\n", ("png",)),
    (0, b"GIF8", ("gif",)),
    (0, b"\xff\xd8\xff", ("jpg",)),
    (0, b"MSCF", ("cab",)),
    (0, b"{\\rtf", ("rtf",)),
    (0, b"#!", ("asc", "script")),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<script", b"<body")


def short_types(start: bytes) -> tuple[str, ...]:
    """What a part is that begins with these bytes; () for nothing that has a name."""
    for offset, magic, names in _MAGIC:
        if start.startswith(magic, offset):
            return names
    if not start:
        return ("empty",)
    if start.lstrip().lower().startswith(_HTML):
        return ("html",)
    if b"\0" in start:
        return ("dat",)
    return ("asc",) if start.isascii() else ("txt",)
