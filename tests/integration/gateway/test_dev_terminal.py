"""`make dev` on a terminal: what a developer of agents sees of requests, and of what fails."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_local.issuer import issue_token
from parley_testing.api.terminal import CTRL_C, Terminal
from parley_testing.waiting import HANG_SECONDS

PROJECT = """
[tool.parley.agents.shop]
target = "shop_agent:build"
description = "Sells."
"""
SHOP = """
from agents import Agent, function_tool

@function_tool
def add_task(title: str, notes: str | None, due_at: str | None) -> str:
    "Sell something; the offline model knows this name."
    return {}[title]

def build():
    return Agent(name="shop", tools=[add_task])
"""


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[tuple[Terminal, Path]]:
    """`make dev` on a terminal, with agents of a developer's; and its data directory."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "pyproject.toml").write_text(PROJECT)
    (own / "shop_agent.py").write_text(SHOP)
    data = tmp_path / "data"
    hidden = ("OPENAI", "LOG_", "POWERTOOLS", "NO_COLOR")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    shown = Terminal(
        [
            sys.executable, "-m", "parley_local.dev", "--port", "0", "--data-dir", str(data),
            "--project", str(own),
        ],
        environ,
    )  # fmt: skip
    yield shown, data
    shown.press(CTRL_C)
    try:
        assert shown.ended() == 0
    finally:
        shown.close()


def test_what_a_developer_sees(dev: tuple[Terminal, Path]) -> None:
    shown, data = dev
    began = shown.wait_for("with the offline model")
    url = re.search(r"answers at (http://[\d.:]+)", began)
    assert url is not None
    # What takes its time is said before it is done.
    steps = ["Starting PostgreSQL in ", "Migrating the database.", "Starting the functions."]
    assert re.findall("|".join(map(re.escape, steps)), began) == steps

    headers = {"Authorization": f"Bearer {issue_token(data, 'anna')}"}
    with httpx.Client(base_url=url[1], headers=headers, trust_env=False) as client:
        client.timeout = HANG_SECONDS
        sold = client.post("/messages", json={"text": "add milk", "agent": "shop"}).json()
        assert "turn" in sold, sold
        front = client.get("/")
        refused = client.get("/nowhere").status_code

    # The place in the developer's own code comes first, and then its traceback.
    said = shown.wait_for("KeyError: 'milk'")
    assert re.search(r"WARNING tool failed at \S+/shop_agent.py:7 add_task tool=add_task", said)
    assert f"turn={sold['turn']['id']}" in said
    below = said.split("Traceback (most recent call last):", 1)[1]
    assert "shop_agent.py" in below.splitlines()[1]
    # One line for a request, with the ids of what it was about.
    said = shown.wait_for(f"turn {sold['turn']['id']}\r\n")
    assert re.search(r"\d\d:\d\d:\d\d POST /messages 201 \d+ ms, session ", said)
    assert "{" not in said
    assert (refused, front.status_code) == (404, 200)
    assert 'href="docs"' in front.text
    assert "parley token" in front.text
    assert "GET /nowhere 404" in shown.wait_for(" ms\r\n")
