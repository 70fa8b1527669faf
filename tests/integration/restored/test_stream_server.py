"""`stream` under its start command, as the adapter has it started for a snapshot."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from parley_testing.models.server import ModelServer
from parley_testing.streams.start_command import headers_of, stream_server
from parley_testing.waiting import wait_for


@pytest.mark.usefixtures("surroundings")
def test_it_is_primed_when_it_says_that_it_is_ready_and_then_streams(
    model: ModelServer, sql: psycopg.Connection, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with stream_server(log, {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}) as (_, client):
        assert log.read_text() == ""
        assert model.asked == []
        assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)

        answer = client.post(
            "/messages/stream", content=b'{"text": "Hello"}', headers=headers_of("alice")
        )
        wait_for(lambda: "request answered" in log.read_text())  # after the answer's end

    assert answer.status_code == 200
    assert "event: turn.completed" in answer.text
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["message"] for line in lines if "message" in line] == [
        "turn ended",
        "request answered",
    ]
