"""What becomes of a function that raises, takes too long or dies, and that it goes on after."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from parley_testing.api.handlers import rest_event
from parley_testing.models.server import Asked, Called, ModelServer, Said, Step
from parley_testing.packaged.deployment import Deploy, Deployment
from parley_testing.packaged.emulator import Emulator
from parley_testing.waiting import HANG_SECONDS, longer_and_longer

MESSAGES = "/sessions/{session_id}/messages"


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """Until it is set, a slow model does not answer."""
    event = threading.Event()
    yield event
    event.set()  # or its server would not end


def test_an_exception_is_the_answer_and_the_process_stays(deployment: Deployment) -> None:
    migrate = deployment["Migrate"]

    failed = migrate.invoke({})
    process = migrate.runtime_pid
    after = migrate.invoke({"action": "migrate"})

    assert failed.status == 200
    assert failed.json["errorType"] == "ValueError"
    assert "stackTrace" in failed.json
    assert "revision" in after.json
    assert migrate.runtime_pid == process


def test_a_missing_setting_stops_the_function_at_init_and_is_named(deploy: Deploy) -> None:
    deployment = deploy(DATABASE_SECRET_ARN="", DATABASE_RUNTIME_SECRET_ARN="")

    reply = deployment["Sessions"].invoke({})

    assert reply.json["errorType"] == "MissingSetting"
    assert "DATABASE_SECRET_ARN" in reply.json["errorMessage"]


def test_a_turn_that_a_slow_model_holds_up_is_let_go_in_time_and_goes_on_later(
    deploy: Deploy, deployment: Deployment, model: ModelServer, go_on: threading.Event
) -> None:
    def slow(asked: Asked) -> Step:
        go_on.wait(HANG_SECONDS)
        return Said("at last")

    session = deployment.send("POST", "/sessions", {}).json["id"]
    send = {"body": {"text": "hello"}, "headers": {"Idempotency-Key": "k"}, "session": session}
    hurried = next(_warm_ones(deploy))
    model.script = slow

    first = hurried.send("POST", MESSAGES, **send)
    go_on.set()
    second = hurried.send("POST", MESSAGES, **send)
    while second.status == 504:  # a slow machine needs more than the two seconds that are left
        second = hurried.send("POST", MESSAGES, **send)

    assert (first.status, first.json["code"]) == (504, "turn_timeout")
    assert second.status == 201, second
    assert second.json["turn"]["id"] == first.json["turn_id"]
    assert second.json["reply"]["content"] == "at last"


@pytest.mark.at_length("below its process dies; what ends one that hangs is Lambda's")
def test_a_process_that_hangs_is_ended_when_time_is_up_and_another_resumes_its_turn(
    deploy: Deploy, deployment: Deployment, model: ModelServer, sql: psycopg.Connection
) -> None:
    for hurried in _warm_ones(deploy):
        session = deployment.send("POST", "/sessions", {}).json["id"]
        messages = hurried["Messages"]
        model.script = _after_the_tool(partial(os.kill, messages.runtime_pid, signal.SIGSTOP))
        message = _message(session, key=session)

        reply = messages.invoke(message)
        if '"statusCode": 504' not in reply.text:
            break  # else the turn was let go of before it came so far
        sql.execute("DELETE FROM tasks")
    messages.invoke(rest_event("POST", "/messages", {}))  # ends the one that hangs
    _expire_leases(sql)
    after = deployment["Messages"].invoke(message).answer

    assert reply.status == 200
    assert f"timed out after {hurried.timeout:.2f} seconds" in reply.text
    assert after.status == 201, after
    assert _tasks(sql) == ["buy milk"]


def test_the_next_process_resumes_the_turn_of_one_that_died(
    deploy: Deploy, deployment: Deployment, model: ModelServer, sql: psycopg.Connection
) -> None:
    session = deployment.send("POST", "/sessions", {}).json["id"]
    messages = _warm(deploy())
    first_process = messages.runtime_pid
    model.script = _after_the_tool(lambda: os.kill(first_process, signal.SIGKILL))

    reply = messages.invoke(_message(session))
    _expire_leases(sql)
    after = messages.invoke(_message(session)).answer

    assert reply.status == 502
    assert after.status == 201, after
    assert after.json["reply"]["content"] == "I have added it."
    assert messages.runtime_pid != first_process
    assert _tasks(sql) == ["buy milk"]
    assert sql.execute("SELECT attempt, crashes FROM turns").fetchall() == [(2, 1)]
    # One call was in flight and repeats; the one that called the tool is not paid for again.
    assert [len(asked.input) for asked in model.asked] == [1, 3, 3]


def _warm(deployment: Deployment) -> Emulator:
    """Have the function answer something, so that a short time-out is all for the turn."""
    assert deployment.send("POST", "/messages", {}).status == 422
    return deployment["Messages"]


def _warm_ones(deploy: Deploy) -> Iterator[Deployment]:
    """Yield deployments of ever longer time-outs, whose function has come to its code in time.

    Of its time a function keeps 12 seconds for letting go.
    """
    for seconds in longer_and_longer(14):
        deployment = deploy(timeout=int(seconds))
        if "statusCode" in deployment["Messages"].invoke(rest_event("POST", "/messages", {})).text:
            yield deployment


def _message(session: str, key: str = "milk") -> dict[str, object]:
    return rest_event(
        "POST",
        f"/sessions/{session}/messages",
        {"text": "add buy milk"},
        headers={"Idempotency-Key": key},
    )


def _after_the_tool(strike: Callable[[], object]) -> Callable[[Asked], Step]:
    """A model that calls a tool and then, when it is told what came out, strikes once."""
    strikes = [strike]

    def script(asked: Asked) -> Step:
        if len(asked.input) == 1:
            return Called("add_task", {"title": "buy milk"})
        if strikes:
            strikes.pop()()
        return Said("I have added it.")

    return script


def _expire_leases(sql: psycopg.Connection) -> None:
    """Let time pass until nobody waits for the attempt that died."""
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")


def _tasks(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks")]
