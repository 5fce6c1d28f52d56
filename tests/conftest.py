"""What all tests have: no configuration of the machine's own mail system gets in."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_configuration_from_outside(monkeypatch):
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
