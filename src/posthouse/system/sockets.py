"""Listening sockets: made before rights are given up, and handed to the workers that accept on them (inet_interfaces)."""

from __future__ import annotations

import socket

BACKLOG = 1024  # connections that wait to be accepted


def listening_socket(address: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A TCP socket that listens on an IPv4 or IPv6 address. An IPv6 one takes no IPv4 clients. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(backlog)
        listener.setblocking(False)
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


def set_no_delay(connection: socket.socket) -> None:
    """Send replies at once; on a socket that is no TCP socket it changes nothing."""
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
