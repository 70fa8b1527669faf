"""Clients that others wrote, in Node, against Parley as `make dev` starts it."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from parley_local.stack import LocalStack
from parley_testing.models.server import Asked, Called, Gate, ModelServer, Raw, Said, Step, Streamed
from parley_testing.refunds_project import refunds_project
from parley_testing.waiting import HANG_SECONDS

CLIENTS = Path(__file__).parents[2] / "clients"
FAILURE = b'{"error": {"message": "no such model", "type": "invalid_request_error"}}'


class Told:
    """A model that does what the user says."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = defaultdict(Gate)

    def __call__(self, asked: Asked) -> Step:
        place = max(n for n, item in enumerate(asked.input) if item.get("role") == "user")
        what, _, name = _text(asked.input[place]["content"]).partition(" ")
        match what:
            case "askfail" if len(asked.input) > place + 1 and _outputs(asked.input[place:]):
                return Raw(400, FAILURE)
            case "ask" | "askfail":
                return _asked(json.loads(name), asked.input[place + 1 :])
            case "add" if len(asked.input) > place + 1:
                return Said("Added.")
            case "add":
                return Called("add_task", {"title": name})
            case "fail":
                return Raw(400, FAILURE)
            case "slow":
                return Streamed("Once upon ", self._gates[name], "a time.")
            case "open":
                self._gates[name].open()
                return Said("It is open.")
            case _:
                return Said("Hello from the model")


def _asked(steps: list[list[Any]], since: list[Any]) -> Step:
    """Answer with calls, step after step, and at the end with what they answered."""
    outputs = _outputs(since)
    calls = 0
    for calls_of_step in steps:
        if len(outputs) == calls:
            return [Called(tool, arguments) for tool, arguments in calls_of_step]
        calls += len(calls_of_step)
    return Said("Done: " + "; ".join(map(_text, outputs)))


def _outputs(items: list[Any]) -> list[Any]:
    return [each["output"] for each in items if each.get("type") == "function_call_output"]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the clients' tests are given."""
    with ModelServer(Told()) as model:
        env = {
            "OPENAI_API_KEY": "test",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_MODEL": "scripted",
        }
        folder = tmp_path_factory.mktemp("stack")
        project = refunds_project(folder / "own")
        with LocalStack(
            folder / "data", env=env, project=project, ready_within=HANG_SECONDS
        ) as stack:
            tokens = {user: stack.headers(user)["Authorization"] for user in ("alice", "bob")}
            tokens["anna"] = stack.headers("anna", admin=True)["Authorization"]
            yield {"PARLEY_URL": stack.url, "PARLEY_TOKENS": json.dumps(tokens)}


@pytest.mark.parametrize("client", sorted(path.name for path in CLIENTS.glob("*.test.mjs")))
def test_a_client_that_others_wrote_is_served(request: pytest.FixtureRequest, client: str) -> None:
    node = which("node")
    if node is None:
        pytest.skip("Node 20 is not installed, so no real client is tried")
    assert (CLIENTS / "node_modules").is_dir(), "the clients are not installed: make clients"
    environment: dict[str, str] = request.getfixturevalue("environment")

    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", client],
        cwd=CLIENTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
