"""SASL mechanisms as a client speaks them: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), SCRAM-SHA-256 (RFC 7677)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Protocol

from posthouse.errors import ProtocolError

MAX_ITERATIONS = 1_000_000


class Mechanism(Protocol):
    """One login. initial() is what goes with AUTH itself (None: nothing); answer() replies to each challenge."""

    name: str

    def initial(self) -> bytes | None: ...

    def answer(self, challenge: bytes) -> bytes: ...


class Plain:
    name = "PLAIN"

    def __init__(self, user: str, password: str) -> None:
        self._message = b"\0".join((b"", user.encode(), password.encode()))

    def initial(self) -> bytes | None:
        return self._message

    def answer(self, challenge: bytes) -> bytes:
        if challenge:
            raise ProtocolError("PLAIN has no challenge")
        return self._message


class Login:
    name = "LOGIN"

    def __init__(self, user: str, password: str) -> None:
        self._answers = [user.encode(), password.encode()]

    def initial(self) -> bytes | None:
        return None

    def answer(self, challenge: bytes) -> bytes:  # noqa: ARG002  (the prompts' words vary; their order does not)
        if not self._answers:
            raise ProtocolError("LOGIN asks twice")
        return self._answers.pop(0)


class CramMd5:
    name = "CRAM-MD5"

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password.encode()

    def initial(self) -> bytes | None:
        return None

    def answer(self, challenge: bytes) -> bytes:
        digest = hmac.new(self._password, challenge, hashlib.md5).hexdigest()
        return f"{self._user} {digest}".encode()


class ScramSha256:
    name = "SCRAM-SHA-256"
    header = b"n,,"  # not bound to the connection

    def __init__(self, user: str, password: str, nonce: Callable[[], str]) -> None:
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        self._password, self._nonce = password.encode(), nonce()
        self._first = f"n={escaped},r={self._nonce}"
        self._server_signature: bytes | None = None

    def initial(self) -> bytes | None:
        return self.header + self._first.encode()

    def answer(self, challenge: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in challenge.decode("utf-8", "replace").split(",") if "=" in part)
        if self._server_signature is not None:
            return self._check_server(fields)
        nonce, salt, count = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or not count.isdigit() or not 0 < int(count) <= MAX_ITERATIONS:
            raise ProtocolError("SCRAM: bad challenge")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(salt), int(count))
        final = f"c={base64.b64encode(self.header).decode()},r={nonce}"
        signed = f"{self._first},{challenge.decode()},{final}".encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _check_server(self, fields: dict[str, str]) -> bytes:
        if base64.b64decode(fields.get("v", "")) != self._server_signature:
            raise ProtocolError("SCRAM: the server does not know the password")
        return b""


# Best first. Which of them may be used is for smtp_sasl_security_options to say.
_MECHANISMS: tuple[str, ...] = ("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")
_PLAINTEXT = {"PLAIN", "LOGIN"}
_ACTIVE_SAFE = {"SCRAM-SHA-256", "CRAM-MD5"}
_MUTUAL = {"SCRAM-SHA-256"}


def choose_mechanism(offered: list[str], options: frozenset[str]) -> str:
    """The best mechanism that the server offers and the security options (noplaintext, noactive, mutual_auth ...)
    allow; "" if there is none.
    """
    known = {word.upper() for word in offered}
    for name in _MECHANISMS:
        if name not in known:
            continue
        if "noplaintext" in options and name in _PLAINTEXT:
            continue
        if ("noactive" in options and name not in _ACTIVE_SAFE) or "nodictionary" in options:
            continue
        if ("mutual_auth" in options and name not in _MUTUAL) or "forward_secrecy" in options:
            continue
        return name
    return ""


def make_mechanism(name: str, user: str, password: str, nonce: Callable[[], str]) -> Mechanism:
    """The mechanism of that name; nonce gives fresh random text of printable characters without comma."""
    match name:
        case "PLAIN":
            return Plain(user, password)
        case "LOGIN":
            return Login(user, password)
        case "CRAM-MD5":
            return CramMd5(user, password)
        case "SCRAM-SHA-256":
            return ScramSha256(user, password, nonce)
    raise ProtocolError(f"unknown SASL mechanism {name}")
