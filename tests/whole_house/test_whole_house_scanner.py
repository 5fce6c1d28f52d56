"""The scanner with the real spamd and clamd behind it."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from posthouse.protocols import clamd, spamd
from whole_house import scanner_scene
from whole_house.scanner_scene import Clamd, Spamd, needs_clamd, needs_spamd


@pytest.fixture(scope="module")
def place():
    path = Path(tempfile.mkdtemp(prefix="posthouse-scanner-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def real_spamd(place):
    daemon = Spamd(place / "spamd")
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def real_clamd(place):
    daemon = Clamd(place / "clamd")
    daemon.start()
    yield daemon
    daemon.stop()


def ask(port, *said):
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        for piece in said:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@needs_spamd
def test_the_real_spamd_calls_gtube_spam(real_spamd):
    text = f"From: a@example.com\nSubject: x\n\n{scanner_scene.GTUBE}\n".encode()
    answer = spamd.answer(ask(real_spamd.port, spamd.request(len(text)), text))
    assert (answer.is_spam, answer.score, answer.tests) == (True, 1000.0, ("GTUBE",))


@needs_clamd
def test_the_real_clamd_knows_eicar(real_clamd):
    text = f"From: a@example.com\nSubject: x\n\n{scanner_scene.EICAR}\n".encode()
    answer = ask(real_clamd.port, clamd.COMMAND, clamd.chunk(text), clamd.END)
    assert clamd.answer(answer) == scanner_scene.EICAR_NAME
