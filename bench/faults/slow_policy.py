"""Sessions that wait for a slow policy server, and mail beside them that needs no policy server: is it slowed down?

    python bench/faults/slow_policy.py [--sessions 1000] [--wait 8]

Starts a house of its own on free loopback ports, and prints the time of single messages with and without the crowd.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BIN = pathlib.Path(sys.executable).parent


def slow_policy_server(wait: float) -> tuple[socket.socket, list[int]]:
    """Answers every request DUNNO after some seconds; the list counts requests."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    asked: list[int] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
                while b"\n\n" in data:
                    data = data.partition(b"\n\n")[2]
                    asked.append(1)
                    time.sleep(wait)
                    connection.sendall(b"action=DUNNO\n\n")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener, asked


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build(top: pathlib.Path, policy_port: int) -> int:
    """A configuration in top; the port of smtpd."""
    port = free_port()
    owner = "nobody" if os.geteuid() == 0 else subprocess.check_output(["id", "-un"], text=True).strip()
    (top / "main.cf").write_text(
        f"compatibility_level = 3.6\nmyhostname = mx.example.com\nqueue_directory = {top}/queue\n"
        f"data_directory = {top}/data\nmaillog_file = {top}/log\nmaillog_file_prefixes = {top}\n"
        f"mail_owner = {owner}\ninet_interfaces = 127.0.0.1\nmydestination =\nalias_maps =\n"
        "relay_domains = hole.example slow.example\ntransport_maps = static:{{discard:}}\nrelay_recipient_maps =\n"
        "smtpd_client_connection_count_limit = 0\nsmtpd_relay_restrictions = reject_unauth_destination\n"
        f"smtpd_recipient_restrictions = check_recipient_access inline:{{slow.example=slow}}\n"
        f"smtpd_restriction_classes = slow\nslow = check_policy_service inet:127.0.0.1:{policy_port}\n"
    )
    (top / "master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n"
        "qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n"
        "discard unix - - n - - discard\nerror unix - - n - - error\nretry unix - - n - - error\n"
    )
    return port


def one_message(port: int) -> float:
    """Milliseconds for one message through a session of its own."""
    start = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=60) as session:
        session.sendmail("a@b.example", "x@hole.example", "Subject: one\r\n\r\ntext\r\n")
    return (time.perf_counter() - start) * 1000


def crowd(port: int, size: int) -> list[socket.socket]:
    """Sessions that have said RCPT TO and wait."""
    sessions = []
    for _ in range(size):
        session = socket.create_connection(("127.0.0.1", port))
        session.sendall(b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@slow.example>\r\n")
        sessions.append(session)
    return sessions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--wait", type=float, default=8.0, help="seconds that the policy server takes")
    options = parser.parse_args()
    listener, asked = slow_policy_server(options.wait)
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        top.chmod(0o755)
        port = build(top, listener.getsockname()[1])
        subprocess.run([BIN / "postfix", "-c", top, "start"], check=True)
        try:
            one_message(port)
            alone = [one_message(port) for _ in range(50)]
            sessions = crowd(port, options.sessions)
            deadline = time.monotonic() + options.wait - 1
            while len(asked) < options.sessions and time.monotonic() < deadline:
                time.sleep(0.1)
            beside = [one_message(port) for _ in range(50)]
            for session in sessions:
                session.close()
        finally:
            subprocess.run([BIN / "postfix", "-c", top, "stop"], check=False)
        print(f"{len(asked)} of {options.sessions} sessions were waiting for the policy server")
        for what, times in (("alone", alone), ("beside them", beside)):
            print(f"one message {what}: median {statistics.median(times):.1f} ms, most {max(times):.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
