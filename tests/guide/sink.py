"""A mail server elsewhere that takes everything, for tests."""

from __future__ import annotations

import socket
import threading


class Sink:
    """texts: what each session brought: commands, and content."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._speak(stream)

    def _speak(self, stream) -> None:
        lines: list[str] = []

        def say(text: str) -> None:
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        say("220 elsewhere.example ESMTP")
        in_data = False
        for raw in stream:
            line = raw.decode().rstrip("\r\n")
            lines.append(line)
            verb = line[:4].upper()
            if in_data:
                in_data = line != "."
                if not in_data:
                    self.texts.append("\n".join(lines))
                    say("250 2.0.0 Ok: queued as ELSEWHERE1")
            elif verb == "DATA":
                in_data = True
                say("354 go ahead")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 elsewhere.example")
