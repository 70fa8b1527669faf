"""What runs agents fits into the memory that the template gives it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from parley_testing.account.template import FUNCTIONS, TEMPLATE
from parley_testing.models.server import Called, ModelServer, Said, in_order
from parley_testing.packaged.deployment import Deployment

MESSAGES = "/sessions/{session_id}/messages"


def peak(pid: int) -> float:
    """The most that a process has held at once, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_long_turns_with_tools_leave_a_third_of_it_free(
    deployment: Deployment, model: ModelServer, sql: psycopg.Connection
) -> None:
    sql.execute(
        "INSERT INTO tasks (id, user_id, title, notes)"
        " SELECT gen_random_uuid(), 'alice', 'task ' || n, repeat('x', 1000)"
        " FROM generate_series(1, 100) n"
    )
    session = deployment.send("POST", "/sessions", {}).json["id"]

    # As long as a message may be; after twelve the model is sent two megabytes each time.
    for _ in range(12):
        tools = (Called("add_task", {"title": "milk"}), Called("list_tasks", {}))
        model.script = in_order(*tools, Said("y" * 30_000))
        answer = deployment.send("POST", MESSAGES, {"text": "x" * 32_000}, session=session)
        assert answer.status == 201, answer

    given = TEMPLATE["Globals"]["Function"] | FUNCTIONS["Messages"]
    assert peak(deployment["Messages"].runtime_pid) < given["MemorySize"] * 2 / 3
