"""nis: tables (DATABASE_README): empty, as they are in Postfix on a machine without a NIS domain.

The default of alias_maps names one, so it must not fail where nobody uses NIS.
"""

from __future__ import annotations

from posthouse.lookup import notices
from posthouse.lookup.table import Options, Table, Unavailable

_NONE = ("", "(none)")


class EmptyTable(Table):
    """Knows nothing, and says why when it is asked first."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._said = False

    def get(self, key: str) -> str | None:  # noqa: ARG002
        if not self._said:
            self._said = True
            notices.warn("dict_nis_init: NIS domain name not set - NIS lookups disabled")
        return None


def open_table(name: str, options: Options) -> Table:  # noqa: ARG001
    """An empty table; one that fails where the machine does have a NIS domain, which is not supported."""
    if _domain() in _NONE:
        return EmptyTable(options)
    return Unavailable(options, "unsupported dictionary type: nis (use unix:passwd.byname, which asks the system)")


def _domain() -> str:
    try:
        with open("/proc/sys/kernel/domainname", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
