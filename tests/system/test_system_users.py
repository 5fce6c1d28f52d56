"""The machine's users."""

from __future__ import annotations


def test_a_system_that_cannot_look_is_no_system_without_the_user():
    """Mail for a user must not come back because files cannot be opened for a moment."""
    import subprocess
    import sys

    code = (
        "import resource\n"
        "from posthouse.errors import LookupFailed\n"
        "from posthouse.system.users import find_user\n"
        "assert find_user('no-such-user') is None\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try:\n    find_user('another-one')\nexcept LookupFailed:\n    print('later')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "later\n"
