"""Body files that no message has: what a crash left behind between writing a file and committing its message."""

from __future__ import annotations

import glob
import os
import sqlite3
import time

from posthouse.queue import spool

_SURELY_LEFT_S = 86_400


def remove_orphans(path: str, spool_directory: str) -> int:
    """Remove body files that no store beside path refers to; how many.

    While another store is in use a file may belong to mail that is coming in just now: then only old files go.
    """
    names = {entry.name: entry for entry in os.scandir(spool_directory) if entry.is_file(follow_symlinks=False)}
    if not names:
        return 0
    stores = glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "queue-*.sqlite"))
    alone = all(store == path or not spool.is_owned(store) for store in stores)
    for store in stores:
        for name in _referred(store):
            names.pop(name, None)
    before = time.time() + 1 if alone else time.time() - _SURELY_LEFT_S
    left = [entry.path for entry in names.values() if entry.stat(follow_symlinks=False).st_mtime < before]
    spool.remove_files(left)
    return len(left)


def _referred(store: str) -> set[str]:
    connection = sqlite3.connect(store, timeout=10)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message'").fetchone():
            return set()
        found = connection.execute("SELECT spooled FROM message WHERE spooled IS NOT NULL").fetchall()
        return {spooled.split(" ")[0] for (spooled,) in found}
    finally:
        connection.close()
