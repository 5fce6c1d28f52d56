"""Stored passwords: {SCHEME}hash as Dovecot and crypt(3) write it. Everything here takes time on purpose."""

from __future__ import annotations

import ctypes
import functools
import hmac
import os
import threading
from collections.abc import Callable
from typing import Any

from posthouse.protocols.scram_server import derive, parse_keys, prepared

DEFAULT_SCHEME = "ARGON2ID"
_LOCK = threading.Lock()  # crypt(3) has one buffer
_MEMORY_KIB = 65_536  # with three rounds: RFC 9106, 4, for little memory


def split_scheme(stored: str) -> tuple[str, str]:
    """("ARGON2ID", hash) of "{ARGON2ID}hash"; without braces it is what crypt(3) writes. Raises ValueError."""
    if not stored.startswith("{"):
        return "CRYPT", stored
    scheme, brace, rest = stored[1:].partition("}")
    if not brace:
        raise ValueError("no } after the scheme")
    return scheme.upper(), rest


def verify(password: str, stored: str) -> bool:
    """Whether it is the password. Raises ValueError for a scheme or a hash that is not understood."""
    scheme, rest = split_scheme(stored)
    check = _CHECKS.get(scheme)
    if check is None:
        raise ValueError(f"unknown password scheme {scheme}")
    return check(password, rest)


def hash_password(password: str, scheme: str = DEFAULT_SCHEME) -> str:
    """For storing. Raises ValueError for a scheme in which nothing new is stored."""
    match scheme.upper():
        case "ARGON2ID":
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

            kdf = Argon2id(salt=os.urandom(16), length=32, iterations=3, lanes=1, memory_cost=_MEMORY_KIB)
            return f"{{ARGON2ID}}{kdf.derive_phc_encoded(prepared(password))}"
        case "SCRAM-SHA-256":
            return f"{{SCRAM-SHA-256}}{derive(password, os.urandom(16)).text()}"
        case "BLF-CRYPT" | "BCRYPT":
            return f"{{BLF-CRYPT}}{_crypt(prepared(password), '$2b$12$' + _salt(22))}"
        case "SHA512-CRYPT":
            from passlib.hash import sha512_crypt

            return f"{{SHA512-CRYPT}}{sha512_crypt.using(rounds=500_000).hash(password)}"
    raise ValueError(f"passwords are not stored in the scheme {scheme}; {', '.join(NEW_SCHEMES)} are good")


NEW_SCHEMES = ("ARGON2ID", "SCRAM-SHA-256", "BLF-CRYPT", "SHA512-CRYPT")


@functools.cache
def dummy() -> str:
    """What a password for nobody is checked against, so that it takes as long."""
    return hash_password(os.urandom(12).hex())


def _argon2(password: str, rest: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(prepared(password), rest)
    except InvalidKey:
        return False
    return True


def _scram(password: str, rest: str) -> bool:
    return parse_keys(rest).accepts(password)


def _crypt_check(password: str, rest: str) -> bool:
    return hmac.compare_digest(_crypt(prepared(password), rest).encode(), rest.encode())


def _plain(password: str, rest: str) -> bool:
    return hmac.compare_digest(prepared(password), prepared(rest))


_CHECKS: dict[str, Callable[[str, str], bool]] = {
    "ARGON2ID": _argon2,
    "SCRAM-SHA-256": _scram,
    **dict.fromkeys(("CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "BCRYPT"), _crypt_check),
    **dict.fromkeys(("PLAIN", "CLEARTEXT"), _plain),
}


@functools.cache
def _library() -> Any:
    for name in ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so.5", "libcrypt.so", None):
        try:
            found = ctypes.CDLL(name)
            found.crypt.restype = ctypes.c_char_p
            found.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        except (OSError, AttributeError):
            continue
        return found
    return None


def _crypt(password: bytes, setting: str) -> str:
    """crypt(3) of this machine, or, where it does not know the hash, libpass. Raises ValueError."""
    library = _library()
    if library is not None and b"\0" not in password:
        with _LOCK:
            found = library.crypt(password, setting.encode())
        if found and not found.startswith(b"*") and found.decode()[:3] == setting[:3]:
            return str(found.decode())
    from passlib.hash import sha256_crypt, sha512_crypt

    for known in (sha512_crypt, sha256_crypt):
        if known.identify(setting):
            return setting if known.verify(password, setting) else ""
    raise ValueError("a hash that this machine's crypt(3) does not know")


def _salt(length: int) -> str:
    letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(letters[byte % 64] for byte in os.urandom(length))
