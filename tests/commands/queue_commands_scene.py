"""Commands against a queue that runs in the test's own process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent.parent / "queue"))
from queue_scene import a_house, a_message, take_in, until

from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.services.intake import Accepted

__all__ = ["WAITS", "Intake", "a_house", "a_message", "deferred", "run", "take_in", "until"]

WAITS = Deferred(Status("4.3.2", 0, "deferred transport"))


async def run(name: str, *words: str, stdin: str = "", scene: SimpleNamespace) -> tuple[int, str, str]:
    """A command as its own process."""
    words = ("-C" if name == "mailq" else "-c", scene.settings.config_directory, *words)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"posthouse.commands.{name}", *words, stdin=-1, stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
    return process.returncode, out.decode(), err.decode()


class Intake:
    def __init__(self, scene: SimpleNamespace) -> None:
        self.scene, self.taken = scene, []

    def new_queue_id(self) -> str:
        return a_message("x@y").queue_id

    async def take(self, submission):
        self.taken.append(submission)
        content = submission.content
        message = QueuedMessage(submission.queue_id, submission.arrival, submission.envelope, content, content.size)
        await take_in(self.scene, message)
        return Accepted(submission.queue_id)


async def deferred(scene, *messages):
    await take_in(scene, *messages)
    await until(lambda: not scene.qmgr.active)
