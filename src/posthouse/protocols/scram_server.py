"""SCRAM-SHA-256 as a server (RFC 5802, RFC 7677), with channel binding (RFC 5929, RFC 9266)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from posthouse.errors import ProtocolError

ITERATIONS = 65_536  # Cyrus SASL, and with it Postfix as a client, refuses to compute more
MOST_ITERATIONS = 10_000_000


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is stored instead of a password; written as Dovecot does: iterations,salt,stored key,server key."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def text(self) -> str:
        parts = (base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return ",".join((str(self.iterations), *parts))

    def accepts(self, password: str) -> bool:
        """Whether it is the password: what PLAIN and LOGIN ask."""
        same = derive(password, self.salt, self.iterations)
        return hmac.compare_digest(same.stored_key, self.stored_key)


def prepared(password: str) -> bytes:
    """Different ways to type the same characters made one (as SASLprep does, RFC 4013)."""
    return (password if password.isascii() else unicodedata.normalize("NFKC", password)).encode(
        "utf-8", "surrogatepass"
    )


def derive(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """The keys for a password. Takes as long as iterations say."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return ScramKeys(iterations, salt, stored, hmac.digest(salted, b"Server Key", "sha256"))


def parse_keys(text: str) -> ScramKeys:
    """What text() has written. Raises ValueError."""
    count, *parts = text.split(",")
    if len(parts) != 3 or not count.isdecimal() or not 0 < int(count) <= MOST_ITERATIONS:
        raise ValueError("not iterations,salt,stored key,server key")
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error as error:
        raise ValueError("keys are not in base64") from error
    if len(stored) != 32 or len(server) != 32 or not salt:
        raise ValueError("keys have a wrong length")
    return ScramKeys(int(count), salt, stored, server)


class ScramServer:
    """One login: first(), challenge(), final(), in this order. nonce is fresh random text; channels are the
    connection's bindings by name; plus: the client chose SCRAM-SHA-256-PLUS. Each raises ProtocolError for
    what is no SCRAM.
    """

    def __init__(self, nonce: str, channels: Mapping[str, bytes], *, plus: bool) -> None:
        self._nonce, self._channels, self._plus = nonce, channels, plus
        self._channel = b""
        self._header = b""
        self._client_first = self._server_first = self._whole_nonce = ""
        self._keys: ScramKeys | None = None

    def first(self, data: bytes) -> str:
        """The client's first message; answers with the user's name."""
        flag, _, rest = _text(data).partition(",")
        authorization, comma, bare = rest.partition(",")
        if not comma:
            raise ProtocolError("SCRAM: bad first message")
        self._check_binding(flag)
        self._header = f"{flag},{authorization},".encode()
        fields = _fields(bare)
        user, nonce = fields.get("n", ""), fields.get("r", "")
        if not bare.startswith("n=") or not user or not nonce or not _is_printable(nonce):
            raise ProtocolError("SCRAM: bad first message")
        name = user.replace("=2C", ",").replace("=3D", "=")
        if authorization not in ("", f"a={user}"):
            raise ProtocolError("SCRAM: acting for others is not allowed")
        self._client_first, self._whole_nonce = bare, nonce + self._nonce
        return name

    def _check_binding(self, flag: str) -> None:
        if self._plus:
            kind, _, name = flag.partition("=")
            if kind != "p" or name not in self._channels:
                raise ProtocolError("SCRAM: unsupported channel binding")
            self._channel = self._channels[name]
        elif flag.startswith("p=") or (flag == "y" and self._channels):
            raise ProtocolError("SCRAM: channel binding does not match")
        elif flag not in ("n", "y"):
            raise ProtocolError("SCRAM: bad channel binding flag")

    def challenge(self, keys: ScramKeys) -> bytes:
        """The server's first message."""
        self._keys = keys
        salt = base64.b64encode(keys.salt).decode()
        self._server_first = f"r={self._whole_nonce},s={salt},i={keys.iterations}"
        return self._server_first.encode()

    def final(self, data: bytes) -> bytes | None:
        """The client's proof; answers with the server's own, None where the password was wrong."""
        message = _text(data)
        without_proof, comma, proof = message.rpartition(",p=")
        fields = _fields(without_proof)
        binding = self._header + self._channel
        if not comma or self._keys is None or fields.get("r") != self._whole_nonce:
            raise ProtocolError("SCRAM: bad final message")
        if fields.get("c") != base64.b64encode(binding).decode():
            raise ProtocolError("SCRAM: channel binding does not match")
        try:
            shown = base64.b64decode(proof, validate=True)
        except binascii.Error as error:
            raise ProtocolError("SCRAM: bad proof") from error
        signed = f"{self._client_first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(self._keys.stored_key, signed, "sha256")
        if len(shown) != len(signature):
            return None
        client_key = bytes(a ^ b for a, b in zip(shown, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._keys.stored_key):
            return None
        return b"v=" + base64.b64encode(hmac.digest(self._keys.server_key, signed, "sha256"))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("SCRAM: not UTF-8") from error


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if name == "m":
            raise ProtocolError("SCRAM: unsupported extension")
        if equals:
            fields.setdefault(name, value)
    return fields


def _is_printable(nonce: str) -> bool:
    return all("!" <= char <= "~" and char != "," for char in nonce)
