"""The file of logins that smtpd_sasl_type = posthouse reads: lines "user@domain:{SCHEME}hash", # for comments."""

from __future__ import annotations


def entry(line: str) -> tuple[str, str] | None:
    """(user, stored password) of a line; None for comments, empty and broken lines. More fields are ignored."""
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    user, colon, rest = text.partition(":")
    stored = rest.split(":", 1)[0].strip()
    return (user.strip(), stored) if colon and user.strip() and stored else None


def entries(text: str) -> dict[str, str]:
    """All of them; the first line for a user counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        known = entry(line)
        if known is not None:
            found.setdefault(known[0].lower(), known[1])
    return found


def with_entry(text: str, user: str, stored: str | None) -> str:
    """The file with that user's password set, or removed (None); everything else as it was."""
    lines, is_done = [], False
    for line in text.splitlines():
        known = entry(line)
        if known is None or known[0].lower() != user.lower():
            lines.append(line)
        elif stored is not None and not is_done:
            lines.append(f"{known[0]}:{stored}")
            is_done = True
    if stored is not None and not is_done:
        lines.append(f"{user}:{stored}")
    return "".join(f"{line}\n" for line in lines)


def is_fit_name(user: str) -> bool:
    """Whether a user's name can stand in the file."""
    return bool(user) and len(user) <= 255 and user.isprintable() and not any(c in user for c in ":# \t")
