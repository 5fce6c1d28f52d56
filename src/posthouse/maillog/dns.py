"""The lines about records of the DNS that a filter takes away."""

from __future__ import annotations


def ignoring(record: str) -> str:
    return f"ignoring DNS RR: {record}"


def unknown_action(parameter: str, action: str) -> str:
    return f'{parameter}: unknown DNS filter action: "{action}"'
