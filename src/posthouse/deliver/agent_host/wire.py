"""What worker and agent host say to each other: one packet (SOCK_SEQPACKET) per request, answers in JSON.

A request is a fixed head, a JSON list of small values, then up to three pieces of bytes: what stands before the
content, its header and its body. A piece that is large travels as an open file instead. Nothing here comes from the
network as it is: the pieces are only copied, and the JSON is read with a size limit.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

INLINE_LIMIT = 24_576  # bytes of one piece that travel within a packet
PACKET_LIMIT = 131_072  # bytes of a whole packet
FILES_LIMIT = 4
_HEAD = struct.Struct("!QBB IIII QQ")
_META_FILE, _HEADER_FILE, _BODY_FILE = 1, 2, 4
_SOCKET_BUFFER = 1 << 20


class Operation(IntEnum):
    """What is asked of the host (OPEN, SPAWN) or of a child that has a user's rights."""

    OPEN = 1
    SPAWN = 2
    MAILDIR = 3
    MBOX = 4
    COMMAND = 5
    READ = 6


@dataclass(slots=True)
class Piece:
    """Bytes, or length bytes of an open file from offset."""

    data: bytes | memoryview
    file: int = -1
    offset: int = 0
    length: int = 0


@dataclass(slots=True)
class Request:
    """A request as the host's side sees it. The files of its pieces belong to the request: close them by release()."""

    identifier: int
    operation: int
    values: list[Any]
    head: memoryview
    header: Piece
    body: Piece
    files: list[int]

    def release(self) -> None:
        """Close the files that came with it."""
        for file in self.files:
            os.close(file)
        self.files.clear()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends with room for several packets."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    return ends


def anonymous_file(data: bytes) -> int:
    """A nameless file that holds data; the descriptor stands at its start."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("posthouse", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def pack(
    identifier: int,
    operation: int,
    values: Sequence[Any],
    pieces: tuple[bytes, Piece, Piece] = (b"", Piece(b""), Piece(b"")),
) -> tuple[list[bytes | memoryview], list[int], list[int]]:
    """Buffers of a packet, descriptors to pass with it, and those of them that the sender must close afterwards."""
    head, header, body = pieces
    meta = json.dumps(values, separators=(",", ":")).encode()
    flags, files, owned = 0, [], []
    buffers: list[bytes | memoryview] = [b"", meta, head]
    if len(meta) > INLINE_LIMIT:
        flags |= _META_FILE
        files.append(anonymous_file(meta))
        owned.append(files[-1])
        buffers[1] = b""
    if len(header.data) > INLINE_LIMIT:
        flags |= _HEADER_FILE
        files.append(anonymous_file(bytes(header.data)))
        owned.append(files[-1])
    else:
        buffers.append(header.data)
    offset, length = 0, len(body.data)
    if body.file >= 0:
        flags |= _BODY_FILE
        files.append(body.file)
        owned.append(body.file)
        offset, length = body.offset, body.length
    elif length > INLINE_LIMIT:
        flags |= _BODY_FILE
        files.append(anonymous_file(bytes(body.data)))
        owned.append(files[-1])
    else:
        buffers.append(body.data)
    buffers[0] = _HEAD.pack(identifier, operation, flags, len(meta), len(head), len(header.data), 0, offset, length)
    return buffers, files, owned


def unpack(packet: bytes, files: list[int]) -> Request:
    """The request in a packet. Raises ValueError for one that is not well formed; files stay the caller's then."""
    if len(packet) < _HEAD.size:
        raise ValueError("short packet")
    identifier, operation, flags, meta_length, head_length, header_length, _, offset, length = _HEAD.unpack_from(packet)
    view, at = memoryview(packet), _HEAD.size
    given = iter(files)
    if flags & _META_FILE:
        meta = os.pread(next(given), meta_length, 0)
    else:
        meta, at = bytes(view[at : at + meta_length]), at + meta_length
    head, at = view[at : at + head_length], at + head_length
    if flags & _HEADER_FILE:
        header = Piece(b"", next(given), 0, header_length)
    else:
        header, at = Piece(view[at : at + header_length]), at + header_length
    body = Piece(b"", next(given), offset, length) if flags & _BODY_FILE else Piece(view[at : at + length])
    values = json.loads(meta)
    if not isinstance(values, list):
        raise ValueError("not a list of values")  # noqa: TRY004
    return Request(identifier, operation, values, head, header, body, files)


def send(sock: socket.socket, buffers: Sequence[bytes | memoryview], files: Sequence[int] = ()) -> None:
    """Send one packet. BlockingIOError where there is no room now and the socket does not wait."""
    if files:
        socket.send_fds(sock, buffers, list(files))
    else:
        sock.sendmsg(buffers)


def receive(sock: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """One packet and the descriptors that came with it; b"" at the end. Raises OSError."""
    room = socket.CMSG_SPACE(FILES_LIMIT * array.array("i").itemsize)
    packet, ancillary, message_flags, _ = sock.recvmsg(PACKET_LIMIT, room, flags | socket.MSG_CMSG_CLOEXEC)
    files: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % array.array("i").itemsize
            received = array.array("i", data[:whole])
            files.extend(received)
    if message_flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for file in files:
            os.close(file)
        raise ValueError("packet too large")
    return packet, files


def answer(identifier: int, values: Sequence[Any] | None) -> bytes:
    """The answer to one request."""
    return json.dumps([[identifier, values]], separators=(",", ":")).encode()


def answers(results: Sequence[tuple[int, Sequence[Any] | None]]) -> bytes:
    """The answers to several requests in one packet."""
    return json.dumps(results, separators=(",", ":")).encode()
