"""`parley dev` on a terminal: what a developer sees of requests, of failures and of changed files.

One is started for all that is looked at: starting it costs more than all of that.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from parley_backend import backend
from parley_local.issuer import issue_token
from parley_testing.api.terminal import CTRL_C, Terminal
from parley_testing.waiting import HANG_SECONDS, wait_for

PROJECT = """
[tool.parley]
template = "template.yaml"

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
    if title == "dust":
        return {}[title]
    return (Path(__file__).parent / "price.txt").read_text() + " before"

def build():
    return Agent(name="shop", tools=[add_task])
"""
BROKEN = "import numpyy\n"
RAISES = AGENT[: AGENT.index("{}[title]")].count("\n") + 1


def save(file: Path, text: str) -> None:
    """Write a file as editors do: whoever looks meanwhile finds it as it was, or whole."""
    new = file.with_name(f"{file.name}~")  # nobody looks at those
    new.write_text(text)
    new.replace(file)


@dataclass(frozen=True)
class Dev:
    """`parley dev` of a developer's own project, whose code was broken while it started.

    Attributes:
        shown: The terminal.
        began: What it showed until it answered.
        refused: What it showed then of the broken code.
        project: Where the project's files are.
        data: Its data directory.
    """

    shown: Terminal
    began: str
    refused: str
    project: Path
    data: Path

    @property
    def agent(self) -> Path:
        """The file of the agent."""
        return self.project / "shop" / "agent.py"

    def mend(self) -> None:
        """Have code that works where its files are, if no test has mended it."""
        if self.agent.read_text() == BROKEN:
            save(self.agent, AGENT)
            self.shown.wait_for("Reloaded shop/agent.py in ")

    def client(self) -> httpx.Client:
        """Return a client of a user's own."""
        url = re.search(r"answers at (http://[\d.:]+)", self.began)
        assert url is not None
        headers = {"Authorization": f"Bearer {issue_token(self.data, 'anna')}"}
        return httpx.Client(base_url=url[1], headers=headers, trust_env=False, timeout=HANG_SECONDS)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """`parley dev` of a project with a template of its own, on a terminal."""
    folder = tmp_path_factory.mktemp("dev")
    root, data = folder / "own", folder / "data"
    (root / "shop").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "template.yaml").write_text(backend("template.yaml").read_text())
    (root / "shop" / "price.txt").write_text("3 EUR")
    (root / "shop" / "agent.py").write_text(AGENT)
    hidden = ("OPENAI", "LOG_", "POWERTOOLS", "NO_COLOR")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    command = [
        sys.executable, "-m", "parley_local.dev", "--port", "0",
        "--data-dir", str(data), "--project", str(root),
    ]  # fmt: skip
    shown = Terminal(command, environ)
    try:
        # While it starts it has read the file already, and does not yet watch it.
        began = shown.wait_for("Starting the functions.")
        save(root / "shop" / "agent.py", BROKEN)
        began += shown.wait_for("with the offline model")
        refused = shown.wait_for("shop/agent.py changed; the code of before goes on serving.")
        yield Dev(shown, began, refused, root, data)
        shown.press(CTRL_C)
        assert shown.ended() == 0
    finally:
        shown.close()


def test_what_a_developer_sees(dev: Dev) -> None:
    # What takes its time is said before it is done.
    steps = ["Starting PostgreSQL in ", "Migrating the database.", "Starting the functions."]
    assert re.findall("|".join(map(re.escape, steps)), dev.began) == steps

    with dev.client() as client:
        sold = client.post("/messages", json={"text": "add dust", "agent": "shop"}).json()
        assert "turn" in sold, sold
        front = client.get("/")
        refused = client.get("/nowhere").status_code

    # The place in the developer's own code comes first, and then its traceback.
    said = dev.shown.wait_for("KeyError: 'dust'")
    place = rf"\S+/shop/agent.py:{RAISES} add_task"
    assert re.search(rf"WARNING tool failed at {place} tool=add_task", said)
    assert f"turn={sold['turn']['id']}" in said
    below = said.split("Traceback (most recent call last):", 1)[1]
    assert "shop/agent.py" in below.splitlines()[1]
    # One line for a request, with the ids of what it was about.
    said = dev.shown.wait_for(f"turn {sold['turn']['id']}\r\n")
    assert re.search(r"\d\d:\d\d:\d\d POST /messages 201 \d+ ms, session ", said)
    assert "{" not in said
    assert (refused, front.status_code) == (404, 200)
    assert 'href="docs"' in front.text
    assert "parley token" in front.text
    assert "GET /nowhere 404" in dev.shown.wait_for(" ms\r\n")


def test_new_code_serves_and_code_that_does_not_import_leaves_the_old_one_serving(dev: Dev) -> None:
    def sold() -> str:
        answer = client.post("/messages", json={"text": "add milk"}).json()
        session, turn = answer["turn"]["session_id"], answer["turn"]["id"]
        told = client.get(f"/sessions/{session}/turns/{turn}/events").text
        (output,) = re.findall(r"EUR \w+", told)
        return str(output)

    assert dev.agent.read_text() == BROKEN
    place = f"[tool.parley.agents.shop] target: {dev.agent}:1 <module>: ModuleNotFoundError"
    assert place in dev.refused
    assert "No module named 'numpyy'" in dev.refused
    below = dev.refused.split("Traceback (most recent call last):", 1)[1]
    assert f'File "{dev.agent}", line 1' in below.splitlines()[1]
    with dev.client() as client:
        assert sold() == "EUR before"

        save(dev.agent, AGENT.replace("before", "after"))
        dev.shown.wait_for("Reloaded shop/agent.py in ")
        assert sold() == "EUR after"
        # Of what has served before nothing is left.
        wait_for(lambda: len(list((dev.data / "project").iterdir())) == 1)


def test_a_changed_template_serves_and_one_that_takes_another_start_says_so(dev: Dev) -> None:
    dev.mend()
    template = dev.project / "template.yaml"
    before = template.read_text()
    renamed = before.replace("Path: /health,", "Path: /alive,")
    assert renamed != before

    def statuses() -> list[int]:
        return [client.get(path).status_code for path in ("/health", "/alive")]

    with dev.client() as client:
        del client.headers["Authorization"]
        assert statuses() == [200, 404]

        save(template, renamed)
        dev.shown.wait_for("Reloaded template.yaml in ")
        assert statuses()[0] == 404

        save(template, before.replace("rate(1 hour)", "rate(2 hours)"))
        said = dev.shown.wait_for("template.yaml changed; the code of before goes on serving.")
        assert "takes them up at its next start." in said
        save(template, "Resources: [")
        dev.shown.wait_for("template.yaml changed; the code of before goes on serving.")
        assert statuses()[0] == 404

        save(template, before)
        dev.shown.wait_for("Reloaded template.yaml in ")
        assert statuses() == [200, 404]


# The last, since mending it would start all functions once more.
def test_a_project_that_says_what_cannot_be_leaves_the_old_one_serving(dev: Dev) -> None:
    dev.mend()
    file = dev.project / "pyproject.toml"

    save(file, PROJECT + 'modl = "gpt"\n')

    said = dev.shown.wait_for("pyproject.toml changed; the code of before goes on serving.")
    assert "did you mean model?" in said
    with dev.client() as client:
        assert client.post("/messages", json={"text": "add milk"}).status_code == 201
