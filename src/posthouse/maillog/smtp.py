"""The lines that smtp(8) writes to the log besides those of deliveries."""

from __future__ import annotations

_CONTENT_LIMIT = 60


def checked(queue_id: str, action: str, content: str, text: str) -> str:
    """A content check's action as mail leaves. content is "header Subject: x" or "body text"; text "" for none."""
    kind, _, rest = content.partition(" ")
    line = f"{queue_id}: {action}: {kind} {_printable(rest[:_CONTENT_LIMIT])}"
    return f"{line}: {_printable(text)}" if text else line


def reply_replaced(server: str, old: str, new: str) -> str:
    """Server is "mx.example.net[192.0.2.1]:25"."""
    return f'{server}: replacing server reply "{_printable(old)}" with "{_printable(new)}"'


def policy_place(parameter: str, key: str) -> str:
    """Where a TLS policy was found: before what is wrong with it."""
    return f'{parameter}, next-hop destination "{_printable(key)}"'


def dane_without_dnssec(next_hop: str, level: str) -> str:
    return f"{next_hop}: {level} configured with dnssec lookups disabled"


def dane_not_built(level: str) -> str:
    return f"TLS security level {level} is not built yet; use secure, verify or fingerprint"


def unknown_site_level(parameter: str, word: str, about: str) -> str:
    """About is what the table was asked: "next-hop destination x" or "server hostname x"."""
    return f"{parameter}: unknown TLS policy '{_printable(word)}' for {about}"


def no_fingerprints(next_hop: str) -> str:
    return f"nexthop domain {next_hop}: configured at fingerprint security level, but with no fingerprints to match."


def no_policy(next_hop: str, host: str, why: str) -> str:
    """Mail waits: what is asked of this server cannot be found out, or cannot be done."""
    return f"TLS policy lookup for {next_hop}/{host}: {why}"


def wrapper_in_clear(prefix: str) -> str:
    """A service that begins with TLS, to a destination whose policy does not ask for it. prefix is smtp or lmtp."""
    return f'{prefix}_tls_wrappermode requires "{prefix}_tls_security_level = encrypt" (or stronger)'


def no_keys(files: str) -> str:
    return f"error loading private keys and certificates from: {files}: disabling TLS support"


def no_authorities(file: str, folder: str) -> str:
    """Smtp_tls_CAfile or smtp_tls_CApath is no good."""
    named = [f'{name}="{path}"' for name, path in (("CAfile", file), ("CApath", folder)) if path]
    return f"cannot load Certification Authority data, {', '.join(named)}: disabling TLS support"


def library_problem(reason: str) -> str:
    """What OpenSSL has to say."""
    return f"TLS library problem: {reason}"


def no_mechanisms(relay: str, offered: tuple[str, ...]) -> str:
    """A server offers logins, and none by which one could log in."""
    if not offered:
        return f"{relay} offered null AUTH mechanism list"
    return f"{relay} offered no supported AUTH mechanisms: '{_printable(' '.join(offered))}'"


def table_failed(table: str, key: str) -> str:
    return f'{table} lookup error for "{_printable(key)}"'


def starttls_offered(host: str) -> str:
    return f"Host offered STARTTLS: [{host}]"


def handshake_failed(relay: str, why: str) -> str:
    """Why is "-1" where OpenSSL has a reason of its own."""
    return f"SSL_connect error to {relay}: {why}"


def tls_established(trust: str, relay: str, session: str) -> str:
    """Trust is Verified, Trusted, Untrusted or Anonymous; session is version and cipher."""
    return f"{trust} TLS connection established to {relay}: {session}"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
