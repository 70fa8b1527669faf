"""The support agent: it escalates its session, which then waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem
from parley_testing.models.scripted import call, say
from parley_testing.models.scripted import in_order as scripted
from parley_testing.models.server import Called, ModelServer, Said, in_order
from parley_testing.workbench import Workbench

OFFLINE = "[offline model] "


@pytest.fixture
def session_id(api: Api) -> str:
    return api.new_session(agent="support", name="help")


def send(api: Api, session_id: str, text: str, key: str | None = None) -> Answer:
    headers = {"Idempotency-Key": key} if key else None
    return api("POST", f"/sessions/{session_id}/messages", {"text": text}, headers=headers)


def session(api: Api, session_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = api("GET", f"/sessions/{session_id}").json
    del shown["usage"]  # no list tells it
    return shown


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I want a human!", "I want a human!"),
        ("Escalate: my parcel is lost", "my parcel is lost"),
        ("escalate", "The user asked for it."),
    ],
)
def test_the_turn_that_escalates_completes_with_its_reply(
    api: Api, session_id: str, said: str, reason: str
) -> None:
    answer = send(api, session_id, said)

    assert (answer.status, answer.json["turn"]["status"]) == (201, "completed")
    assert answer.json["reply"]["content"] == f"{OFFLINE}A person will look at the conversation."
    shown = session(api, session_id)
    assert (shown["status"], shown["status_reason"]) == ("escalated", reason)
    assert api("GET", "/sessions", query={"status": "escalated"}).json["items"] == [shown]


def test_messages_are_refused_until_somebody_sets_it_back(api: Api, session_id: str) -> None:
    first = send(api, session_id, "I want a human", key="k")

    refused = problem(send(api, session_id, "hello?"), 409, "session_not_active")
    by_name = api("POST", "/messages", {"text": "hello?", "session_name": "help"})
    replayed = send(api, session_id, "I want a human", key="k")
    undone = [
        api("PATCH", f"/sessions/{session_id}", {"status": status, "name": "x"})
        for status in ("active", "ended")
    ]
    kept = session(api, session_id)
    reopened = api(
        "PATCH",
        f"/admin/sessions/{session_id}",
        {"status": "active"},
        user="root",
        scopes="parley:admin",
    )
    answered = send(api, session_id, "hello?")

    assert (refused["session_id"], refused["session_status"]) == (session_id, "escalated")
    assert "a person has to see to it" in refused["detail"]
    for answer in undone:
        assert problem(answer, 409, "session_escalated")["session_status"] == "escalated"
    assert (kept["status"], kept["name"]) == ("escalated", "help")
    assert kept["status_reason"]
    problem(by_name, 409, "session_not_active")
    assert (replayed.status, replayed.json) == (201, first.json)
    assert (reopened.json["status"], reopened.json["status_reason"]) == ("active", None)
    assert (answered.status, answered.json["turn"]["number"]) == (201, 2)


def test_only_another_status_takes_the_reason_away(api: Api, session_id: str) -> None:
    send(api, session_id, "escalate now")

    for changes in ({"name": "urgent"}, {"metadata": {"seen": True}}, {"status": "escalated"}):
        kept = api("PATCH", f"/sessions/{session_id}", changes).json
        assert (kept["status"], kept["status_reason"]) == ("escalated", "now")
    path = f"/admin/sessions/{session_id}"
    ended = api("PATCH", path, {"status": "ended"}, user="root", scopes="parley:admin").json

    assert (ended["status"], ended["status_reason"]) == ("ended", None)


def test_without_need_it_answers(api: Api, session_id: str) -> None:
    answer = send(api, session_id, "how are you?")

    assert answer.json["reply"]["content"].startswith(f"{OFFLINE}I am only Parley's stand-in")
    assert session(api, session_id)["status"] == "active"


def test_the_session_is_never_the_model_s_choice(
    model_api: Api, model: ModelServer, sql: psycopg.Connection
) -> None:
    other = model_api.new_session(agent="support")
    mine = model_api.new_session(agent="support")
    arguments = {"reason": "r\0", "session_id": other}
    model.script = in_order(Called("escalate", arguments), Said("Somebody will."))

    assert send(model_api, mine, "help").json["reply"]["content"] == "Somebody will."

    (tool,) = model.asked[0].body["tools"]
    assert list(tool["parameters"]["properties"]) == ["reason"]
    statuses = sql.execute("SELECT id::text, status, status_reason FROM sessions").fetchall()
    assert sorted(statuses) == sorted([(other, "active", None), (mine, "escalated", "r")])


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001])
def test_a_reason_that_cannot_be_taken_is_told_to_the_model(
    model_api: Api, model: ModelServer, reason: str
) -> None:
    model.script = in_order(Called("escalate", {"reason": reason}), Said("I cannot."))
    session_id = model_api.new_session(agent="support")

    assert send(model_api, session_id, "help").status == 201

    assert model.asked[1].input[-1]["output"].startswith("reason ")
    assert session(model_api, session_id)["status"] == "active"


def _die() -> Any:
    raise asyncio.CancelledError


async def test_a_turn_that_died_after_it_escalated_is_still_finished(
    new_bench: Callable[..., Workbench], expire: Callable[[UUID], None], sql: psycopg.Connection
) -> None:
    bench = new_bench(scripted(call("escalate", reason="r"), _die))
    session_id = bench.new_session(agent="support")
    turn = bench.begin(session_id, "help", key="k")
    with pytest.raises(asyncio.CancelledError):
        await bench.execute(turn)
    expire(turn.id)
    (escalated_at,) = sql.execute("SELECT updated_at FROM sessions").fetchone() or ()

    sent = await new_bench(scripted(say("Somebody will."))).send(session_id, "help", key="k")

    assert sent.view.reply is not None
    assert sent.view.reply.content == "Somebody will."
    assert sql.execute("SELECT status, status_reason, updated_at FROM sessions").fetchall() == [
        ("escalated", "r", escalated_at)
    ]
