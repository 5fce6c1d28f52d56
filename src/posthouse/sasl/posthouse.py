"""smtpd_sasl_type = posthouse: our own logins, from a file that `posthouse passwd` keeps or from any table.

smtpd_sasl_path is the file (by default smtpd_passwords beside main.cf), or a table ("hash:/etc/postfix/logins").
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, ProtocolError
from posthouse.lookup.maps import Maps, open_maps_from
from posthouse.protocols.password_file import entries
from posthouse.protocols.scram_server import ITERATIONS, ScramKeys, ScramServer, parse_keys
from posthouse.sasl.password_hash import dummy, split_scheme, verify
from posthouse.sasl.plain_login import FAILURE, OFFERS, PasswordDialogue
from posthouse.services.login import Answer, Challenge, Denied, Granted, LoginPeer, Offer, Unavailable

FILE = "smtpd_passwords"
_PRISTINE = "smtpd"  # smtpd_sasl_path where nobody has set it
_SCRAM = "SCRAM-SHA-256"
_SCRAM_PROPERTIES = frozenset(("mutual-auth",))
_FILE_LIMIT = 16_000_000
_THREADS = 2


def passwords_path(settings: Settings) -> str:
    """The file of logins, or the table that stands in its place."""
    path = settings.text("smtpd_sasl_path")
    if path == _PRISTINE:
        path = FILE
    return path if ":" in path else os.path.join(settings.config_directory, path)


def open_service(settings: Settings) -> OwnLogins:
    """For smtpd_sasl_path and smtpd_sasl_local_domain, the domain of names without one."""
    path = passwords_path(settings)
    source = _TableOfPasswords(open_maps_from(settings, [path])) if ":" in path else _FileOfPasswords(path)
    return OwnLogins(source, settings.text("smtpd_sasl_local_domain"))


class _FileOfPasswords:
    """The file, read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mark: tuple[int, int, int] | None = None
        self._known: dict[str, str] = {}
        self._is_scram = False

    def has_only_scram(self) -> bool:
        """Whether SCRAM works for everybody. Raises LookupFailed."""
        self._refresh()
        return self._is_scram

    async def find(self, user: str) -> str | None:
        """The stored password. Raises LookupFailed."""
        self._refresh()
        return self._known.get(user)

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            mark = (status.st_mtime_ns, status.st_ino, status.st_size)
            if mark == self._mark:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                self._known = entries(file.read(_FILE_LIMIT))
        except OSError as error:
            raise LookupFailed(f"SASL: open {self._path}: {error.strerror}") from error
        self._mark = mark
        self._is_scram = bool(self._known) and all(
            stored.upper().startswith(f"{{{_SCRAM}}}") for stored in self._known.values()
        )


class _TableOfPasswords:
    """Any table; whether it has SCRAM keys for everybody cannot be told."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps

    def has_only_scram(self) -> bool:
        for spec, reason in self._maps.unavailable:
            raise LookupFailed(f"SASL: {spec}: {reason}")
        return False

    async def find(self, user: str) -> str | None:
        return await self._maps.find(user)


class OwnLogins:
    """Checks passwords in threads of its own: hashes take long on purpose."""

    def __init__(self, source: _FileOfPasswords | _TableOfPasswords, realm: str) -> None:
        self._source, self._realm = source, realm
        self._secret = secrets.token_bytes(32)  # for salts of users that are not there
        self._threads: ThreadPoolExecutor | None = None

    async def offers(self) -> tuple[Offer, ...]:
        """SCRAM only where it works for everybody: clients choose it first. Raises LookupFailed."""
        if not self._source.has_only_scram():
            return OFFERS
        bound = _SCRAM_PROPERTIES | {"channel-binding"}
        return (Offer(f"{_SCRAM}-PLUS", bound), Offer(_SCRAM, _SCRAM_PROPERTIES), *OFFERS)

    def dialogue(self, peer: LoginPeer) -> OwnDialogue:
        return OwnDialogue(self, peer)

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    def full_name(self, user: str) -> str:
        return f"{user}@{self._realm}" if self._realm and "@" not in user else user

    async def check(self, user: str, password: str) -> Answer:
        """By the password itself."""
        name = self.full_name(user)
        try:
            stored = await self._source.find(name.lower())
            good = await self._in_thread(lambda: verify(password, stored or dummy()))
        except LookupFailed as failed:
            return Unavailable(str(failed))
        except ValueError as error:
            return Unavailable(f"SASL: the stored password of {name}: {error}")
        return Granted(name) if good and stored is not None else Denied(FAILURE, name)

    async def keys(self, user: str) -> tuple[ScramKeys, bool]:
        """SCRAM's keys, and whether they are those of a user: for others there are some, too. Raises LookupFailed."""
        name = self.full_name(user)
        stored = await self._source.find(name.lower())
        scheme, rest = ("", "") if stored is None else split_scheme(stored)
        if scheme == _SCRAM:
            return parse_keys(rest), True
        salt = hmac.digest(self._secret, name.encode(), "sha256")[:16]
        nothing = hashlib.sha256(salt).digest()
        return ScramKeys(ITERATIONS, salt, nothing, nothing), False

    async def _in_thread(self, check: Callable[[], bool]) -> bool:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "passwords")
        return await asyncio.get_running_loop().run_in_executor(self._threads, check)


class OwnDialogue:
    """One AUTH command: PLAIN, LOGIN or SCRAM."""

    def __init__(self, logins: OwnLogins, peer: LoginPeer) -> None:
        self._logins, self._peer = logins, peer
        self._passwords = PasswordDialogue(logins.check)
        self._scram: ScramServer | None = None
        self._user = ""
        self._is_known = self._is_granted = False

    async def begin(self, mechanism: str, initial: bytes | None) -> Answer:
        name = mechanism.upper()
        if not name.startswith(_SCRAM):
            return await self._passwords.begin(mechanism, initial)
        self._scram = ScramServer(secrets.token_urlsafe(24), self._peer.channels, plus=name.endswith("-PLUS"))
        return Challenge(b"") if initial is None else await self.go_on(initial)

    async def go_on(self, response: bytes) -> Answer:
        if self._scram is None:
            return await self._passwords.go_on(response)
        try:
            return await self._scram_step(self._scram, response)
        except (ProtocolError, ValueError) as error:
            return Denied(str(error), self._user)
        except LookupFailed as failed:
            return Unavailable(str(failed))

    async def _scram_step(self, scram: ScramServer, response: bytes) -> Answer:
        if not self._user:
            self._user = self._logins.full_name(scram.first(response))
            keys, self._is_known = await self._logins.keys(self._user)
            return Challenge(scram.challenge(keys))
        if self._is_granted:
            return Granted(self._user)
        proof = scram.final(response)
        if proof is None or not self._is_known:
            return Denied(FAILURE, self._user)
        self._is_granted = True
        return Challenge(proof)

    def abandon(self) -> None:
        self._passwords.abandon()
