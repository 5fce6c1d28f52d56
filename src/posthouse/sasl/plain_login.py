"""PLAIN (RFC 4616) and LOGIN as a server: what is common to all types that are shown the password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from posthouse.services.login import Answer, Challenge, Denied, Offer

OFFERS = (Offer("PLAIN", frozenset(("plaintext",))), Offer("LOGIN", frozenset(("plaintext",))))
INVALID_MECHANISM = "Invalid authentication mechanism"
FAILURE = "authentication failure"
MOST_BYTES = 1024  # of a name or a password
_PROMPTS = (b"Username:", b"Password:")

Check = Callable[[str, str], Awaitable[Answer]]


class PasswordDialogue:
    """One login; check(user, password) judges."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._is_login = False
        self._words: list[bytes] = []

    async def begin(self, mechanism: str, initial: bytes | None) -> Answer:
        match mechanism.upper():
            case "PLAIN":
                return Challenge(b"") if initial is None else await self._plain(initial)
            case "LOGIN":
                self._is_login = True
                return Challenge(_PROMPTS[0]) if not initial else await self.go_on(initial)
        return Denied(INVALID_MECHANISM)

    async def go_on(self, response: bytes) -> Answer:
        if not self._is_login:
            return await self._plain(response)
        self._words.append(response)
        if len(self._words) == 1:
            return Challenge(_PROMPTS[1])
        return await self._judge(self._words[0], self._words[1])

    def abandon(self) -> None:
        self._words.clear()

    async def _plain(self, message: bytes) -> Answer:
        words = message.split(b"\0")
        if len(words) != 3 or words[0] not in (b"", words[1]):  # nobody acts for somebody else
            return Denied("malformed or disallowed PLAIN response")
        return await self._judge(words[1], words[2])

    async def _judge(self, user: bytes, password: bytes) -> Answer:
        if not user or not password or len(user) > MOST_BYTES or len(password) > MOST_BYTES:
            return Denied(FAILURE)
        try:
            return await self._check(user.decode("utf-8"), password.decode("utf-8"))
        except UnicodeDecodeError:
            return Denied(FAILURE)
