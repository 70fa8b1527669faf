"""`stream` under its start command, as the adapter has it started for a snapshot."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from parley_testing.api.handlers import FUNCTIONS
from parley_testing.models.server import ModelServer
from parley_testing.waiting import HANG_SECONDS, wait_for

ROOT = FUNCTIONS.parent


def test_it_is_primed_when_it_says_that_it_is_ready_and_then_streams(
    surroundings: pytest.MonkeyPatch, model: ModelServer, sql: psycopg.Connection, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["./run.sh"],
            cwd=FUNCTIONS / "stream",
            stdout=output,
            stderr=output,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": f"{ROOT / 'layers/shared/python'}:{os.environ['PYTHONPATH']}",
                "AWS_LWA_PORT": str(port),
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            },
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
            wait_for(lambda: process.poll() is not None or _is_ready(client))
            assert log.read_text() == ""
            assert model.asked == []
            assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)

            answer = client.post("/messages/stream", content=b'{"text": "Hello"}', headers=_alice())
            wait_for(lambda: "request answered" in log.read_text())  # after the answer's end
    finally:
        process.kill()
        process.wait()
    assert answer.status_code == 200
    assert "event: turn.completed" in answer.text
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["message"] for line in lines if "message" in line] == [
        "turn ended",
        "request answered",
    ]


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def _alice() -> dict[str, str]:
    authorizer = {"user_id": "alice", "scopes": "", "exp": str(int(time.time()) + 3600)}
    context = {"requestId": "req-1", "authorizer": authorizer}
    return {"x-amzn-request-context": json.dumps(context), "content-type": "application/json"}
