"""`parley dev` while files of the project change."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_backend import backend
from parley_local.issuer import issue_token
from parley_testing.api.terminal import CTRL_C, Terminal
from parley_testing.waiting import HANG_SECONDS, wait_for

PROJECT = """
[tool.parley.agents.shop]
target = "shop.agent:build"
description = "Sells."
"""
AGENT = """
from pathlib import Path
from agents import Agent, function_tool

@function_tool
def add_task(title: str, notes: str | None, due_at: str | None) -> str:
    "Sell something; the offline model knows this name."
    return (Path(__file__).parent / "price.txt").read_text() + " {}"

def build():
    return Agent(name="shop", tools=[add_task])
"""


def save(file: Path, text: str) -> None:
    """Write a file as editors do: whoever looks meanwhile finds it as it was, or whole."""
    new = file.with_name(f"{file.name}~")  # nobody looks at those
    new.write_text(text)
    new.replace(file)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    (root / "shop").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "shop" / "price.txt").write_text("3 EUR")
    (root / "shop" / "agent.py").write_text(AGENT.format("before"))
    return root


@pytest.fixture
def shown(project: Path, tmp_path: Path) -> Iterator[Terminal]:
    """`parley dev` of that project on a terminal."""
    hidden = ("OPENAI", "LOG_", "POWERTOOLS", "NO_COLOR")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    command = [
        sys.executable, "-m", "parley_local.dev", "--port", "0",
        "--data-dir", str(tmp_path / "data"), "--project", str(project),
    ]  # fmt: skip
    shown = Terminal(command, environ)
    yield shown
    shown.press(CTRL_C)
    try:
        assert shown.ended() == 0
    finally:
        shown.close()


def test_new_code_serves_and_code_that_does_not_import_leaves_the_old_one_serving(
    shown: Terminal, project: Path, tmp_path: Path
) -> None:
    agent = project / "shop" / "agent.py"
    # While it starts it has read the file already, and does not yet watch it.
    shown.wait_for("Starting the functions.")
    save(agent, "import numpyy\n")
    greeting = shown.wait_for("shop/agent.py changed; the code of before goes on serving.")
    url = re.search(r"answers at (http://[\d.:]+)", greeting)
    assert url is not None
    headers = {"Authorization": f"Bearer {issue_token(tmp_path / 'data', 'anna')}"}

    def sold() -> str:
        answer = client.post("/messages", json={"text": "add milk"}).json()
        session, turn = answer["turn"]["session_id"], answer["turn"]["id"]
        told = client.get(f"/sessions/{session}/turns/{turn}/events").text
        (output,) = re.findall(r"EUR \w+", told)
        return str(output)

    with httpx.Client(
        base_url=url[1], headers=headers, trust_env=False, timeout=HANG_SECONDS
    ) as client:
        said = greeting.split("with the offline model", 1)[1]
        assert "No module named 'numpyy'" in said
        assert f"[tool.parley.agents.shop] target: {agent}:1 <module>: ModuleNotFoundError" in said
        below = said.split("Traceback (most recent call last):", 1)[1]
        assert f'File "{agent}", line 1' in below.splitlines()[1]
        assert sold() == "EUR before"

        save(agent, AGENT.format("after"))
        shown.wait_for("Reloaded shop/agent.py in ")
        assert sold() == "EUR after"

        save(project / "pyproject.toml", PROJECT + 'modl = "gpt"\n')
        said = shown.wait_for("pyproject.toml changed; the code of before goes on serving.")
        assert "did you mean model?" in said
        assert sold() == "EUR after"
        # Of what has served before nothing is left.
        wait_for(lambda: len(list((tmp_path / "data" / "project").iterdir())) == 1)


@pytest.fixture
def template(project: Path) -> Path:
    """A template of the project's own."""
    file = project / "template.yaml"
    file.write_text(backend("template.yaml").read_text())
    named = '[tool.parley]\ntemplate = "template.yaml"\n'
    (project / "pyproject.toml").write_text(named + PROJECT)
    return file


def test_a_changed_template_serves_and_one_that_takes_another_start_says_so(
    template: Path, shown: Terminal
) -> None:
    url = re.search(r"answers at (http://[\d.:]+)", shown.wait_for("with the offline model"))
    assert url is not None
    before = template.read_text()
    renamed = before.replace("Path: /health,", "Path: /alive,")
    assert renamed != before

    def statuses() -> list[int]:
        return [client.get(path).status_code for path in ("/health", "/alive")]

    with httpx.Client(base_url=url[1], trust_env=False, timeout=HANG_SECONDS) as client:
        assert statuses() == [200, 404]

        save(template, renamed)
        shown.wait_for("Reloaded template.yaml in ")
        assert statuses()[0] == 404

        save(template, before.replace("rate(1 hour)", "rate(2 hours)"))
        said = shown.wait_for("template.yaml changed; the code of before goes on serving.")
        assert "takes them up at its next start." in said
        save(template, "Resources: [")
        shown.wait_for("template.yaml changed; the code of before goes on serving.")
        assert statuses()[0] == 404

        save(template, before)
        shown.wait_for("Reloaded template.yaml in ")
        assert statuses() == [200, 404]
