from __future__ import annotations

import sys
from pathlib import Path

import pytest
from delivery_scene import Scene, texts

import posthouse.deliver
from posthouse.config.master_cf import Service
from posthouse.deliver.agent import agent_modules, build_agent
from posthouse.errors import ConfigError
from posthouse.mail.envelope import Trace

RECIPE = Path(__file__).parents[2] / "docs/adding/delivery_agent.md"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The recipe's own module, in a place of the package's."""
    code = RECIPE.read_text().split("```python\n")[1].split("```")[0].replace("        ...\n", "")
    (tmp_path / "filing.py").write_text(code)
    monkeypatch.setattr(posthouse.deliver, "__path__", [*posthouse.deliver.__path__, str(tmp_path)])
    agent_modules.cache_clear()
    yield
    agent_modules.cache_clear()
    sys.modules.pop("posthouse.deliver.filing", None)


async def test_the_recipe_makes_an_agent(recipe):
    scene = Scene("")
    try:
        assert texts(await scene.deliver("filing", "a@b.test")) == ["2.0.0 delivered to cabinet"]
        assert texts(await scene.deliver("filing", "a@b.test", trace=Trace.PROBE)) == ["2.0.0 delivers to cabinet"]
    finally:
        scene.close()


@pytest.mark.parametrize("command", ["nosuch", "../virtual", "agent", "mailbox", "results", "os"])
async def test_only_agents_are_agents(command):
    scene = Scene("")
    line = Service("x", "unix", True, False, False, 0, False, 0, command)
    try:
        with pytest.raises(ConfigError, match="is not a delivery agent"):
            build_agent(line, scene.settings, scene.house)
    finally:
        scene.close()
