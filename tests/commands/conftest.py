from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from queue_commands_scene import WAITS, Intake, a_house

from posthouse.queue.control import QueueControl
from posthouse.services.delivery import Report, Result


@pytest.fixture
async def scene(tmp_path, request):
    """A queue that serves commands; agents defer until told otherwise."""
    for folder in ("public", "private", "maildrop"):
        (tmp_path / "queue" / folder).mkdir(parents=True, exist_ok=True)
    scene = a_house(
        tmp_path, f"maillog_file = {tmp_path}/log\nmaillog_file_prefixes = /\nfast_flush_domains = one.test\n"
    )
    scene.agent.answer = lambda r: Report(tuple(Result(t.index, WAITS) for t in r.targets))
    scene.house.intake = scene.intake = Intake(scene)
    scene.control = QueueControl(scene.house, lambda: [SimpleNamespace(store=scene.store, queue_manager=scene.qmgr)], 0)
    await scene.control.serve()
    runner = asyncio.ensure_future(scene.qmgr.run())
    yield scene
    await scene.control.close()
    await scene.qmgr.stop()
    await runner
    await scene.store.close()
