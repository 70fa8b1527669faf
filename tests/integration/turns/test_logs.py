"""What a turn leaves in the logs, the metrics and the process."""

from __future__ import annotations

import asyncio
import json
import threading
from io import StringIO
from typing import Any

import pytest

from parley import loop
from parley_testing.api.handlers import Api
from parley_testing.metrics import metrics_in, values_of
from parley_testing.models.server import Called, ModelServer, Raw, Said, Step, in_order

SECRET = "my secret diary"


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("last", "outcome"), [(Said(SECRET), "completed"), (Raw(400, SECRET.encode()), "failed")]
)
def test_a_turn_is_logged_by_its_ids_and_never_by_its_text(
    model_api: Api,
    model: ModelServer,
    log_lines: StringIO,
    caplog: pytest.LogCaptureFixture,
    last: Step,
    outcome: str,
) -> None:
    model.script = in_order(Called("add_task", {"title": SECRET}), last)
    session_id = model_api.new_session()

    model_api("POST", f"/sessions/{session_id}/messages", {"text": SECRET})

    assert SECRET not in log_lines.getvalue()
    assert SECRET not in caplog.text
    (ended,) = (line for line in lines(log_lines.getvalue()) if line["message"] == "turn ended")
    turn = model_api("GET", f"/sessions/{session_id}/turns").json["items"][0]
    assert (ended["session_id"], ended["turn_id"]) == (session_id, turn["id"])
    assert ended["request_id"]
    assert ended["outcome"] == outcome


def test_a_turn_is_measured(
    model_api: Api, model: ModelServer, capfd: pytest.CaptureFixture[str]
) -> None:
    model_api("POST", "/messages", {"text": "hello"})

    (measured,) = metrics_in(capfd.readouterr().out)
    values = values_of(measured)
    assert values["TurnsCompleted"] == 1
    assert (values["InputTokens"], values["OutputTokens"]) == (11, 7)


def test_a_turn_counts_for_the_deployment_and_for_its_agent(
    model_api: Api, model: ModelServer, capfd: pytest.CaptureFixture[str]
) -> None:
    # An alarm cannot add agents up.
    model_api("POST", "/messages", {"text": "hello"})

    (measured,) = metrics_in(capfd.readouterr().out)
    (directive,) = measured["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"], ["service", "agent"]]
    assert (measured["service"], measured["agent"]) == ("parley", "todo")


def test_metrics_are_in_the_namespace_of_their_deployment(
    model_api: Api,
    model: ModelServer,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Parley/staging")

    model_api("POST", "/messages", {"text": "hello"})

    (measured,) = metrics_in(capfd.readouterr().out)
    assert measured["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Parley/staging"


def test_reading_memory_is_measured(
    model_api: Api, model: ModelServer, capfd: pytest.CaptureFixture[str]
) -> None:
    session_id = model_api.new_session()

    model_api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})

    read, _ = metrics_in(capfd.readouterr().out)
    assert list(values_of(read)) == ["MemoryReadLatency"]


@pytest.mark.parametrize(("user", "status"), [("alice", 200), (None, 401)])
def test_a_request_is_logged_by_its_route_and_status(
    api: Api, log_lines: StringIO, user: str | None, status: int
) -> None:
    api("GET", "/agents", user=user)

    (said,) = (
        line for line in lines(log_lines.getvalue()) if line["message"] == "request answered"
    )
    assert (said["route"], said["status"]) == ("GET /agents", status)
    assert said["milliseconds"] >= 0


def test_ids_of_one_request_do_not_stand_in_the_log_of_the_next(
    model_api: Api, model: ModelServer, log_lines: StringIO
) -> None:
    first = model_api("POST", "/messages", {"text": "hello"}).json["turn"]["id"]
    end = len(log_lines.getvalue())

    model_api("POST", "/messages", {"text": "hello"})

    assert first in log_lines.getvalue()[:end]
    assert first not in log_lines.getvalue()[end:]


def test_a_handler_leaves_no_task_and_no_second_loop(model_api: Api, model: ModelServer) -> None:
    session_id = model_api.new_session()
    for step in (Said("ok"), Raw(400), Said("ok")):
        model.script = lambda asked, step=step: step  # type: ignore[misc]
        model_api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
        assert asyncio.all_tasks(loop._runner().get_loop()) == set()
    assert [thread.name for thread in threading.enumerate()].count("parley-tool_0") <= 1
