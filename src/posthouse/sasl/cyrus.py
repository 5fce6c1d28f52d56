"""smtpd_sasl_type = cyrus: asks saslauthd, as the Cyrus library does by its smtpd.conf (SASL_README).

# Differs from Postfix: the library itself, with its own password stores, is not used; pwcheck_method must be saslauthd.
"""

from __future__ import annotations

import asyncio
import os
import struct

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.sasl.plain_login import FAILURE, OFFERS, PasswordDialogue
from posthouse.services.login import Answer, Denied, Granted, LoginPeer, Offer, Unavailable

MUX_PATHS = ("/run/saslauthd/mux", "/var/run/saslauthd/mux", "/var/spool/postfix/var/run/saslauthd/mux")
ANSWER_LIMIT_S = 30.0
_SYSTEM_FOLDERS = ("/etc/postfix/sasl", "/etc/sasl2", "/usr/lib/sasl2")
_MOST_ANSWER_BYTES = 1024


def open_service(settings: Settings) -> Saslauthd:
    """By the first smtpd.conf there is (smtpd_sasl_path names it, cyrus_sasl_config_path where to look)."""
    folders = [folder for folder in settings.text("cyrus_sasl_config_path").split(":") if folder]
    folders = folders or [f"{settings.config_directory}/sasl", *_SYSTEM_FOLDERS]
    name = f"{settings.text('smtpd_sasl_path')}.conf"
    realm = settings.text("smtpd_sasl_local_domain")
    return Saslauthd([os.path.join(folder, name) for folder in folders], settings.text("smtpd_sasl_service"), realm)


def read_conf(text: str) -> dict[str, str]:
    """Names and values of smtpd.conf."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.lstrip().startswith("#"):
            found[name.strip().lower()] = value.strip()
    return found


class Saslauthd:
    """The way to saslauthd; smtpd.conf is read when it is needed, so that a change counts at once."""

    def __init__(self, paths: list[str], service: str, realm: str) -> None:
        self._paths, self._service, self._realm = paths, service, realm

    async def offers(self) -> tuple[Offer, ...]:
        """PLAIN and LOGIN, as far as mech_list names them. Raises LookupFailed for an unusable smtpd.conf."""
        words = self._conf().get("mech_list", "").upper().split()
        return tuple(offer for offer in OFFERS if not words or offer.name in words)

    def dialogue(self, peer: LoginPeer) -> PasswordDialogue:  # noqa: ARG002  (saslauthd asks for nothing of that)
        return PasswordDialogue(self._check)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _conf(self) -> dict[str, str]:
        for path in self._paths:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    conf = read_conf(file.read(100_000))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LookupFailed(f"SASL: open {path}: {error.strerror}") from error
            method = conf.get("pwcheck_method", "auxprop").lower()
            if "saslauthd" not in method.split():
                raise LookupFailed(f"SASL: {path}: pwcheck_method {method} is not supported; saslauthd is")
            return conf
        raise LookupFailed(f"SASL: there is no {os.path.basename(self._paths[0])} in any of {_folders(self._paths)}")

    async def _check(self, user: str, password: str) -> Answer:
        try:
            conf = self._conf()
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._ask(_mux(conf), user, password)
        except (OSError, TimeoutError, LookupFailed, asyncio.IncompleteReadError) as error:
            text = getattr(error, "strerror", "") or str(error) or "timed out"
            return Unavailable(f"cannot ask saslauthd: {text}")
        if answer.startswith(b"OK"):
            return Granted(f"{user}@{self._realm}" if self._realm and "@" not in user else user)
        return Denied(FAILURE, user)

    async def _ask(self, path: str, user: str, password: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            name, _, domain = user.partition("@")
            for word in (name if domain else user, password, self._service, domain or self._realm):
                raw = word.encode()
                writer.write(struct.pack("!H", len(raw)) + raw)
            await writer.drain()
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(min(size, _MOST_ANSWER_BYTES))
        finally:
            writer.close()


def _mux(conf: dict[str, str]) -> str:
    named = conf.get("saslauthd_path")
    if named:
        return named
    return next((path for path in MUX_PATHS if os.path.exists(path)), MUX_PATHS[0])


def _folders(paths: list[str]) -> str:
    return ", ".join(os.path.dirname(path) for path in paths)
