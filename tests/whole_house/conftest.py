from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from whole_house.house_scene import WholeHouse


@pytest.fixture
def closed_house():
    """A mail server that has not been started; stopped at the end if it was.

    Not in tmp_path: where root runs the tests, others may not enter that.
    """
    place = Path(tempfile.mkdtemp(prefix="posthouse-test-"))
    place.chmod(0o755)
    whole = WholeHouse(place)
    yield whole
    whole.stop()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def house(closed_house):
    """A mail server that has been started, and is stopped at the end."""
    closed_house.start()
    return closed_house
