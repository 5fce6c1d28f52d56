"""Servers that know passwords, as tests need them: one of Dovecot's auth protocol, and one of saslauthd's."""

from __future__ import annotations

import asyncio
import base64
import struct


class FakeDovecot:
    """Knows joe:secret. Notes each line; break_off() is what a restart looks like."""

    def __init__(self, path, mechanisms=("PLAIN\tplaintext", "LOGIN\tplaintext", "ANONYMOUS\tanonymous")):
        self.path, self.mechanisms = str(path), mechanisms
        self.lines: list[str] = []
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._answers: dict[str, list[bytes]] = {}
        self.silent = False

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        self.break_off()
        await asyncio.sleep(0)

    def break_off(self):
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        greeting = ["VERSION\t1\t2", *(f"MECH\t{name}" for name in self.mechanisms), "SPID\t1", "CUID\t1"]
        writer.write("".join(f"{line}\n" for line in [*greeting, "COOKIE\t00", "DONE"]).encode())
        while line := (await reader.readline()).decode().rstrip("\n"):
            self.lines.append(line)
            if not self.silent:
                self._answer(writer, line.split("\t"))

    def _answer(self, writer, words):
        if words[0] == "AUTH" and words[2].upper() in ("OAUTHBEARER", "EXTERNAL"):
            self._answers[words[1]] = []
            self._pass_through(writer, words)
            return
        if words[0] == "CONT" and not self._answers[words[1]]:
            writer.write(f"FAIL\t{words[1]}\tuser=joe\treason=invalid token\n".encode())
            return
        if words[0] == "AUTH":
            self._answers[words[1]] = [words[2].encode()]
            words = [word[5:] for word in words if word.startswith("resp=")]
        elif words[0] == "CONT":
            number, words = words[1], words[2:]
            self._go_on(writer, number, base64.b64decode(words[0]))
            return
        else:
            return
        number = list(self._answers)[-1]
        if words:
            self._go_on(writer, number, base64.b64decode(words[0]))
        else:
            prompt = "" if self._answers[number][0] == b"PLAIN" else "VXNlcm5hbWU6"
            writer.write(f"CONT\t{number}\t{prompt}\n".encode())

    def _pass_through(self, writer, words):
        """Mechanisms of which smtpd knows nothing: a token, and the client's certificate."""
        number, response = words[1], base64.b64decode(words[-1].removeprefix("resp="))
        if words[2].upper() == "EXTERNAL" and "valid-client-cert" in words:
            writer.write(f"OK\t{number}\tuser={response.decode() or 'joe'}\n".encode())
        elif words[2] == "OAUTHBEARER" and b"auth=Bearer good" in response:
            writer.write(f"OK\t{number}\tuser=joe\n".encode())
        elif words[2] == "OAUTHBEARER":
            problem = base64.b64encode(b'{"status":"invalid_token"}').decode()
            writer.write(f"CONT\t{number}\t{problem}\n".encode())
        else:
            writer.write(f"FAIL\t{number}\n".encode())

    def _go_on(self, writer, number, data):
        answers = self._answers[number]
        answers.append(data)
        if answers[0].upper() == b"LOGIN" and len(answers) == 2:
            writer.write(f"CONT\t{number}\tUGFzc3dvcmQ6\n".encode())
            return
        user, password = answers[1:3] if answers[0].upper() == b"LOGIN" else data.split(b"\0")[1:]
        if (user, password) == (b"joe", b"secret"):
            writer.write(f"OK\t{number}\tuser=joe\n".encode())
        elif user == b"busy":
            writer.write(f"FAIL\t{number}\tuser=busy\ttemp\n".encode())
        else:
            writer.write(f"FAIL\t{number}\tuser={user.decode()}\treason=not so\n".encode())


class FakeSaslauthd:
    """Knows joe:secret."""

    def __init__(self, path):
        self.path = str(path)
        self.asked: list[tuple[str, ...]] = []

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _serve(self, reader, writer):
        words = []
        for _ in range(4):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            words.append((await reader.readexactly(size)).decode())
        self.asked.append(tuple(words))
        answer = b"OK" if words[:2] == ["joe", "secret"] else b"NO"
        writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()
