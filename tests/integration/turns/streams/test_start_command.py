"""The function's real start command: what the adapter, and the local gateway, run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from parley_client.sse import Parser
from parley_testing.api.handlers import FUNCTIONS
from parley_testing.models.server import ModelServer
from parley_testing.models.steps import Gate, Streamed
from parley_testing.waiting import HANG_SECONDS

ROOT = FUNCTIONS.parent

pytestmark = pytest.mark.usefixtures("nothing_forked")


@pytest.fixture
def server(
    environment: pytest.MonkeyPatch, model: ModelServer, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client, Path]]:
    """The server's process, a client of it, and what it logs."""
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
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                # Nobody listens there: waking fails, and is only a help.
                "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1",
                "WAKE_QUEUE_URL": "http://127.0.0.1:1/000000000000/wake-up",
                "OPENAI_API_KEY": "test",
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_MODEL": "scripted",
                "OFFLINE_MODEL": "false",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
            end = time.monotonic() + HANG_SECONDS
            while not _answers(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield process, client, log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def headers() -> dict[str, str]:
    authorizer = {"user_id": "alice", "scopes": "", "exp": str(int(time.time()) + 3600)}
    context = {"requestId": "req-1", "authorizer": authorizer}
    return {"x-amzn-request-context": json.dumps(context), "content-type": "application/json"}


def test_it_streams_and_lets_go_of_its_turns_when_it_is_stopped(
    server: tuple[subprocess.Popen[bytes], httpx.Client, Path],
    model: ModelServer,
    sql: psycopg.Connection,
) -> None:
    process, client, log = server
    gate = Gate()
    model.script = lambda asked: Streamed("Hel", gate, "lo")
    kinds: list[str] = []
    parser = Parser()

    with client.stream(
        "POST", "/messages/stream", content=b'{"text": "hello"}', headers=headers()
    ) as response:
        for part in response.iter_raw():
            kinds += [frame.event for frame in parser.feed(part)]
            if kinds and kinds[-1] == "message.delta" and process.poll() is None:
                process.send_signal(signal.SIGTERM)
    gate.open()

    assert process.wait(HANG_SECONDS) == -signal.SIGTERM
    assert kinds == ["turn.started", "message.delta"]
    row = sql.execute("SELECT status, lease_expires_at = '-infinity' FROM turns").fetchone()
    assert row == ("running", True)
    assert "Traceback" not in log.read_text()
