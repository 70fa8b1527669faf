"""`make dev` and `parley` as a newcomer uses them: the project's own template and functions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from parley_local.stack import LocalStack
from parley_testing.waiting import HANG_SECONDS


def parley(stack: LocalStack, *arguments: str, stdin: str = "") -> str:
    """Run the command as it is typed and return what it prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("parley")), *arguments],
        env={**own, "DATA_DIR": str(stack.data_dir)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Return a stack that was stopped and started again after its first message."""
    data_dir = tmp_path_factory.mktemp("whole") / "data"
    with LocalStack(data_dir, ready_within=HANG_SECONDS) as first:
        assert "buy milk" in parley(first, "message", "add buy milk", "--session", "groceries")
    with LocalStack(data_dir, ready_within=HANG_SECONDS) as again:
        yield again


def test_the_conversation_goes_on_after_a_restart(stack: LocalStack) -> None:
    # Only memory knows what "that task" is, and only Postgres has the task.
    reply = parley(stack, "message", "--session", "groceries", stdin="done with that task\n")

    sessions = httpx.get(
        stack.url + "/sessions",
        headers=stack.headers("local"),
        trust_env=False,
        timeout=HANG_SECONDS,
    )
    assert "buy milk" in reply
    assert [session["name"] for session in sessions.json()["items"]] == ["groceries"]


def test_a_printed_token_is_one_that_the_authorizer_believes(stack: LocalStack) -> None:
    token = parley(stack, "token", "--user", "alice").strip()

    with httpx.Client(base_url=stack.url, trust_env=False, timeout=HANG_SECONDS) as client:
        good = client.get("/sessions", headers={"Authorization": f"Bearer {token}"})
        bad = client.get("/sessions", headers={"Authorization": f"Bearer {token[:-4]}AAAA"})

    assert (good.status_code, good.json()) == (200, {"items": [], "next_cursor": None})
    assert bad.status_code == 401
    assert bad.json()["code"] == "unauthorized"


def test_an_unknown_route_is_a_problem_document(stack: LocalStack) -> None:
    response = httpx.get(stack.url + "/nothing", trust_env=False, timeout=HANG_SECONDS)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-amzn-requestid"]


def test_nobody_else_on_the_machine_can_read_what_is_kept_or_reach_the_database(
    stack: LocalStack,
) -> None:
    kept = ("issuer-key.pem", "memory.sqlite3", "postgres", "postgres.log")
    modes = {name: (stack.data_dir / name).stat().st_mode & 0o077 for name in kept}

    # The database's socket is in its folder, and whoever reaches that needs no password.
    assert modes == dict.fromkeys(kept, 0)
    assert (stack.data_dir / "postgres" / ".s.PGSQL.5432").exists()
