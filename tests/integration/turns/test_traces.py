"""What X-Ray is told of a turn: by datagrams to the daemon beside the function."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parley.tracing import subsegment
from parley_testing.api.handlers import Api
from parley_testing.models.server import Called, ModelServer, Raw, Said, in_order

ROOT, SEGMENT = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
SECRET = "my secret diary"

Traced = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """Gives the subsegments that the daemon has got so far, of an invocation that is traced."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        host, port = daemon.getsockname()
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"{host}:{port}")
        invoke(monkeypatch)

        def received() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            while True:
                try:
                    header, _, document = daemon.recv(65_536).partition(b"\n")
                except BlockingIOError:
                    return found
                assert json.loads(header) == {"format": "json", "version": 1}
                found.append(json.loads(document))

        yield received


def invoke(
    monkeypatch: pytest.MonkeyPatch, root: str = ROOT, segment: str = SEGMENT, sampled: int = 1
) -> None:
    """Begin an invocation, as the runtime does."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent={segment};Sampled={sampled}")


def test_the_steps_of_a_turn_stand_below_its_request(
    model_api: Api, model: ModelServer, traced: Traced
) -> None:
    model.script = in_order(Called("add_task", {"title": SECRET}), Said(SECRET))
    session_id = model_api.new_session()
    traced()

    model_api("POST", f"/sessions/{session_id}/messages", {"text": SECRET})

    seen = traced()
    parents = {each["id"]: each for each in seen}
    named = {each["name"]: each for each in seen}
    (request,) = (each for each in seen if each["parent_id"] == SEGMENT)
    assert request["annotations"]["status"] == 201
    turn = named["turn"]
    assert turn["annotations"]["session_id"] == session_id
    for step in ("TurnRepository.begin", "SqliteStore.read_newest", "turn"):
        assert named[step]["parent_id"] == request["id"]
    for step in ("model call", "tool add_task", "SqliteStore.finish", "TurnRepository.complete"):
        assert parents[named[step]["parent_id"]] == turn
    assert {each["trace_id"] for each in seen} == {ROOT}
    assert SECRET not in json.dumps(seen)


def test_a_step_that_fails_is_marked_and_says_nothing_of_why(
    model_api: Api, model: ModelServer, traced: Traced
) -> None:
    model.script = in_order(Raw(400, SECRET.encode()))
    session_id = model_api.new_session()
    traced()

    model_api("POST", f"/sessions/{session_id}/messages", {"text": SECRET})

    seen = traced()
    assert {each["name"] for each in seen if each["fault"]} == {"model call"}
    assert SECRET not in json.dumps(seen)


def test_an_invocation_that_is_not_sampled_sends_nothing(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(monkeypatch, sampled=0)

    with subsegment("a step"):
        pass

    assert traced() == []


def test_what_began_in_an_earlier_invocation_is_no_parent_in_this_one(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subsegment("earlier"):
        invoke(monkeypatch, root=f"{ROOT}9", segment="a" * 16)
        with subsegment("later"):
            pass

    later, earlier = traced()
    assert (later["trace_id"], later["parent_id"]) == (f"{ROOT}9", "a" * 16)
    assert (earlier["trace_id"], earlier["parent_id"]) == (ROOT, SEGMENT)


def test_a_daemon_that_is_gone_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    invoke(monkeypatch)
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", "no.such.host.invalid:2000")

    with subsegment("a step"):
        done = True

    assert done


def test_a_name_is_one_that_x_ray_takes(traced: Traced) -> None:
    with subsegment("GET /sessions/{session_id}" + "x" * 300):
        pass

    (seen,) = traced()
    assert seen["name"].startswith("GET /sessions/session_id")
    assert len(seen["name"]) == 200
