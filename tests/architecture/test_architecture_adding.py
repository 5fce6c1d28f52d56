"""The recipes of docs/adding, followed in a copy of the package: one new file or line, and the thing is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs/adding"


def code_of(recipe: str) -> str:
    """The first Python block of a recipe."""
    return (RECIPES / recipe).read_text().split("```python\n")[1].split("```")[0]


@pytest.fixture
def tree(tmp_path):
    """A copy of the package and a configuration."""
    shutil.copytree(ROOT / "src/posthouse", tmp_path / "posthouse", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = mail.example.com\nmaillog_file =\n")
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd\n")
    return tmp_path


def run(tree: Path, *words: str) -> str:
    """A Python command in the copy; what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "MAIL_CONFIG"} | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_type_is_one_file(tree):
    code = code_of("table.md").replace("        ...\n", "        self._shelf = name\n", 1)
    code = code.replace("        ...\n", '        return f"{key} on {self._shelf}"\n', 1)
    (tree / "posthouse/lookup/tables/foo.py").write_text(code)
    assert "foo" in run(tree, "-m", "posthouse.commands.postconf", "-c", str(tree), "-m").split()
    found = run(tree, "-m", "posthouse.commands.postmap", "-c", str(tree), "-q", "Key", "foo:/srv/shelf")
    assert found == "key on /srv/shelf\n"


def test_a_restriction_is_one_function(tree):
    (tree / "posthouse/policy/restrictions/ours.py").write_text(
        '"""Ours."""\n\nfrom __future__ import annotations\n\n' + code_of("restriction.md")
    )
    (tree / "ask.py").write_text(
        "from posthouse.policy.catalogue import find, similar\n"
        "entry = find('reject_helo_of_ours')\n"
        "print(entry.manual)\n"
        "print(similar('reject_helo_of_our'))\n"
    )
    assert run(tree, "ask.py").splitlines() == [
        "Refuse clients that say HELO with this host's own name.",
        "reject_helo_of_ours",
    ]


def test_a_parameter_is_one_line(tree):
    line = re.search(r"^    (time\(.*)$", (RECIPES / "parameter.md").read_text(), re.MULTILINE)[1]
    line = line.replace("queue_run_delay", "posthouse_tea_time")
    topic = tree / "posthouse/config/parameters/pickup.py"
    text = topic.read_text()
    text = text.replace(
        "PARAMETERS: tuple[Parameter, ...] = (\n", f"PARAMETERS: tuple[Parameter, ...] = (\n    {line}\n"
    )
    topic.write_text(re.sub(r"(from posthouse.config.types import .*)", r"\1, time", text))
    assert run(tree, "-m", "posthouse.commands.postconf", "-c", str(tree), "-d", "posthouse_tea_time") == (
        "posthouse_tea_time = 300s\n"
    )
    (tree / "ask.py").write_text(
        "from posthouse.config.settings import from_text\n"
        "from posthouse.config.check import suggestion\n"
        "print(from_text('posthouse_tea_time = 5m\\n', '/').seconds('posthouse_tea_time'))\n"
        "print(suggestion('posthouse_teatime'))\n"
    )
    assert run(tree, "ask.py").splitlines() == ["300", "posthouse_tea_time"]


def test_a_subcommand_is_one_file(tree):
    (tree / "posthouse/commands/posthouse_tea.py").write_text(
        '"""posthouse tea: puts the kettle on."""\n\n\ndef main(argv):\n    print("tea", *argv)\n    return 0\n'
    )
    assert "puts the kettle on" in run(tree, "-m", "posthouse.commands.posthouse", "--help")
    assert run(tree, "-m", "posthouse.commands.posthouse", "tea", "now") == "tea now\n"


def test_a_check_is_one_function(tree):
    code = (
        code_of("check.md")
        .replace("_trusted_routing", "_recipe")
        .replace("lets strangers", "of the recipe lets strangers")
    )
    checks = tree / "posthouse/config/check_main.py"
    text = checks.read_text().replace('"""All of it."""\n', '"""All of it."""\n    yield from _recipe(settings)\n')
    checks.write_text(f"{text}\n\n{code}")
    (tree / "ask.py").write_text(
        "from posthouse.config.check_main import check_main\n"
        "from posthouse.config.settings import from_text\n"
        "for one in check_main(from_text('allow_untrusted_routing = yes\\n', '/'), ()):\n    print(one.text)\n"
    )
    assert "allow_untrusted_routing of the recipe lets strangers pass mail on ..." in run(tree, "ask.py").splitlines()


async def test_the_scene_of_the_cleanup_recipe_works(tmp_path):
    from cleanup.cleanup_scene import Scene, addresses

    lines = re.findall(r"^       (.*)$", (RECIPES / "cleanup_step.md").read_text(), re.MULTILINE)
    code = "\n    ".join(lines)
    names = {"Scene": Scene, "addresses": addresses, "tmp_path": tmp_path}
    exec(f"async def recipe():\n    {code}\n", names)
    await names["recipe"]()


def test_every_recipe_has_a_test_that_follows_it():
    tested = {"table.md", "restriction.md", "parameter.md", "cleanup_step.md", "check.md"}
    elsewhere = {"delivery_agent.md": "tests/deliver/test_deliver_adding.py"}
    assert {path.name for path in RECIPES.glob("*.md")} == tested | elsewhere.keys()
    for recipe, test in elsewhere.items():
        assert recipe in (ROOT / test).read_text()
