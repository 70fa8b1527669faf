"""What docs/agents.md shows is so: each of its agents, run for real."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from parley import loop
from parley.agents import registry
from parley.manifest import manifest
from parley_testing import projects
from parley_testing.agents_brought import documented
from parley_testing.agents_brought.documented import Talk
from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem
from parley_testing.mcp_servers.stand_in import Mcp, McpStandIn
from parley_testing.models.server import Called, ModelServer, Said, in_order


def test_every_agent_of_the_page_is_offered_under_its_name(api: Api) -> None:
    offered = documented.offers()

    assert {f"{name}.py" for name in offered} | {"tables.py", "offline.py"} == {
        path.name for path in documented.files() if path.parent.name == "my_desk"
    }
    assert [registry.load(name).name for name in offered] == list(offered)
    listed = {agent["name"] for agent in api("GET", "/agents").json["items"]}
    assert listed > offered.keys()


def test_tools_answer_and_know_whose_turn_it_is(talk: Talk) -> None:
    called = [Called("time_at", {"hours_ahead": 5.5}, "call_1"), Called("whose_turn")]
    talk.model.script = in_order(called, Said("Late."))

    assert talk.ask("clock", "What time is it?", user="bob") == "Late."

    outputs = {item.get("call_id"): item.get("output") for item in talk.model.asked[1].input}
    told = datetime.fromisoformat(outputs["call_1"])
    assert told.utcoffset() == timedelta(hours=5.5)
    assert abs(datetime.now(UTC) - told) < timedelta(hours=1)
    assert outputs["call_0"] == "bob"


@pytest.mark.usefixtures("migrated")
def test_without_a_key_the_page_s_rule_answers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = replace(manifest(), offline=("my_desk.offline:answer",))
    projects.offer(monkeypatch, offered)

    said = api("POST", "/messages", {"text": "a table for 2", "agent": "bookings"}).json

    told = "[offline model] Done: A table for 2 is booked for 2026-12-24."
    assert said["reply"]["content"] == told


@pytest.mark.usefixtures("migrated")
def test_a_booking_is_the_user_s_own(talk: Talk, sql: psycopg.Connection) -> None:
    talk.model.script = in_order(
        Called("book_table", {"day": "2026-12-24", "people": 2}),
        Said("Booked."),
        Called("list_bookings"),
        Said("One."),
        Called("list_bookings"),
        Said("None."),
    )

    talk.ask("bookings", "A table for two")
    talk.ask("bookings", "What have I booked?")
    talk.ask("bookings", "What have I booked?", user="bob")

    rows = sql.execute("SELECT user_id, day::text, people FROM restaurant.bookings").fetchall()
    assert rows == [("alice", "2026-12-24", 2)]
    outputs = [asked.input[-1].get("output") for asked in talk.model.asked]
    assert outputs[1] == "A table for 2 is booked for 2026-12-24."
    assert json.loads(outputs[3]) == [{"day": "2026-12-24", "people": 2}]
    assert outputs[5] == "[]"


@pytest.mark.usefixtures("migrated")
def test_a_booking_that_cannot_be_taken_is_told_to_the_model(
    talk: Talk, sql: psycopg.Connection
) -> None:
    talk.model.script = in_order(
        Called("book_table", {"day": "2026-12-24", "people": 13}), Said("Too many.")
    )

    assert talk.ask("bookings", "A table for thirteen") == "Too many."

    assert talk.model.asked[1].input[-1]["output"] == "people must be 1 to 12."
    assert sql.execute("SELECT FROM restaurant.bookings").rowcount == 0


@pytest.mark.usefixtures("migrated")
def test_the_desk_asks_one_agent_and_hands_over_to_another(
    talk: Talk, sql: psycopg.Connection
) -> None:
    talk.model.script = in_order(
        Called("translate", {"input": "Ein Tisch für zwei"}),
        Said("A table for two"),
        Called("transfer_to_bookings"),
        Called("book_table", {"day": "2026-12-24", "people": 2}),
        Said("Gebucht."),
        Said("Bitte."),
    )

    replies = [talk.ask("desk", text) for text in ("Ein Tisch für zwei", "Danke")]

    assert replies == ["Gebucht.", "Bitte."]
    assert sql.execute("SELECT user_id, people FROM restaurant.bookings").fetchall() == [
        ("alice", 2)
    ]
    offered = [[tool["name"] for tool in asked.body["tools"]] for asked in talk.model.asked]
    desk = ["translate", "transfer_to_bookings", "transfer_to_letters"]
    bookings = ["book_table", "list_bookings"]
    assert offered == [desk, [], desk, bookings, bookings, desk]


def test_the_poet_s_server_is_asked_with_its_own_key(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer(in_order(Said("A rose."))) as server:
        monkeypatch.setenv("POET_URL", server.base_url)

        assert talk.ask("poet", "A poem") == "A rose."
        model: Any = registry.load("poet").model
        loop.run(model._client.close())

        (asked,) = server.asked
    assert (asked.path, asked.body["model"], asked.key) == (
        "/chat/completions",
        "mistral-large",
        "the poet's",
    )
    assert talk.model.asked == []


def test_the_calendar_s_server_is_asked_with_the_token(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str | None] = []

    def keep(mcp: Mcp) -> None:
        keys.append(mcp.headers["Authorization"])
        mcp.result({"content": [{"type": "text", "text": "Nothing today."}]})

    with McpStandIn() as server:
        server.acts["tools/call"] = keep
        monkeypatch.setenv("CALENDAR_URL", f"{server.url}/mcp")
        talk.model.script = in_order(Called("look"), Said("You are free."))

        assert talk.ask("calendar", "What is today?") == "You are free."

    assert keys == ["Bearer secret"]
    assert "Nothing today." in str(talk.model.asked[1].input[-1]["output"])


def test_the_airline_s_agents_share_a_context_in_a_turn(
    talk: Talk, sql: psycopg.Connection
) -> None:
    seat = {"confirmation_number": "LL0EZ6", "new_seat": "12A"}
    talk.model.script = in_order(
        Called("transfer_to_seats"),
        Called("update_seat", seat),
        Said("Done."),
        Called("transfer_to_seats"),
        Called("current_seat"),
        Said("12A."),
    )

    assert talk.ask("airline", "I want to sit in 12A") == "Done."
    assert talk.ask("airline", "Where do I sit?") == "12A."

    told = talk.model.asked[2].input[-1]["output"]
    flight = told.removeprefix("Seat 12A on flight ").removesuffix(".")
    assert flight.startswith("FLT-")
    assert flight in json.dumps(talk.model.asked[1].body)  # in the seat agent's instructions
    assert talk.model.asked[5].input[-1]["output"] == "12A"
    assert sql.execute("SELECT metadata->>'seat' FROM sessions").fetchall() == [("12A",)]


def test_models_are_those_that_agents_name_on_the_server_that_is_set(
    environment: pytest.MonkeyPatch, talk: Talk, model: ModelServer
) -> None:
    variables = documented.variables() | {"OPENAI_BASE_URL": model.base_url}
    for name, value in variables.items():
        environment.setenv(name, value)
    model.script = in_order(
        Called("ask_critic", {"input": "Teh text"}), Said("A typo."), Said("The text"), Said("Hi.")
    )

    assert talk.ask("editor", "Teh text") == "The text"
    assert talk.ask("assistant", "Hello") == "Hi."

    assert [asked.body["model"] for asked in model.asked] == [
        "qwen3:4b", "qwen3:32b", "qwen3:4b", "llama3.3",
    ]  # fmt: skip
    assert {asked.path for asked in model.asked} == {"/chat/completions"}
    assert {asked.key for asked in model.asked} == {"none"}
    assert model.asked[0].body["temperature"] == 0.2


def test_a_typed_answer_is_json_text(talk: Talk) -> None:
    talk.model.script = in_order(Said('{"about": "delivery", "urgent": true}'))

    reply = talk.ask("triage", "My parcel is lost, and it is the cake!")

    assert json.loads(reply) == {"about": "delivery", "urgent": True}
    assert talk.model.asked[0].body["text"]["format"]["type"] == "json_schema"


def test_a_guardrail_stops_the_newest_message_before_the_model_sees_it(talk: Talk) -> None:
    talk.model.script = lambda asked: Said('{"about": "payment", "urgent": false}')

    stopped = talk.send("triage", "I paid twice with 4111 1111 1111 1111")
    after = talk.send("triage", "I paid twice")

    problem(stopped, 502, "guardrail_tripped")
    assert after.status == 201
    assert len(talk.model.asked) == 1
    assert "4111" not in json.dumps(talk.model.asked[0].body)
