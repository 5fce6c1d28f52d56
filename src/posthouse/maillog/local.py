"""Log lines of local(8)."""

from __future__ import annotations


def not_regular(path: str) -> str:
    """A .forward that is no plain file."""
    return f"file {path} is not a regular file"


def bad_owner(path: str, uid: int) -> str:
    """A .forward of somebody else."""
    return f"file {path} has bad owner uid {uid}"


def world_writable(path: str) -> str:
    """A .forward that anybody can change."""
    return f"file {path} is world writable"


def cannot_open(path: str, reason: str) -> str:
    """A .forward that its user cannot read."""
    return f"cannot open file {path}: {reason}"


def no_include(path: str, reason: str) -> str:
    """An :include: file that is not there."""
    return f"unable to lookup :include: file {path}: {reason}"


def alias_loop(name: str) -> str:
    """Aliases that lead to themselves."""
    return f"alias database loop for {name}"


def no_members(name: str) -> str:
    """An alias with nothing on its right-hand side."""
    return f"no recipient in alias lookup result for {name}"


def alias_not_found(name: str) -> str:
    """An address that every site must have."""
    return f"required alias not found: {name}"


def illegal_extension(queue_id: str, local: str) -> str:
    """A slash in an extension could lead out of a directory."""
    return f"{queue_id}: address with illegal extension: {local}"


def passing(queue_id: str, recipient: str, transport: str) -> str:
    return f"{queue_id}: passing <{recipient}> to transport={transport}"
