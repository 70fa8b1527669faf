"""The function's real start command: what the adapter, and the local gateway, run."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from parley_client.sse import Parser
from parley_testing.models.server import ModelServer
from parley_testing.models.steps import Gate, Streamed
from parley_testing.streams.start_command import headers_of, stream_server
from parley_testing.waiting import HANG_SECONDS


@pytest.fixture
def server(
    environment: pytest.MonkeyPatch, model: ModelServer, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client, Path]]:
    """The server's process, a client of it, and what it logs."""
    log = tmp_path / "log"
    variables = {
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
    }
    with stream_server(log, variables) as (process, client):
        yield process, client, log


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
        "POST", "/messages/stream", content=b'{"text": "hello"}', headers=headers_of("alice")
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
