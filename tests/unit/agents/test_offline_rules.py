"""What the offline model makes of tools that no rule of a project's knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from agents import function_tool

from parley.agents.offline import OfflineProvider
from parley.manifest import Manifest, Offer
from parley.stand_in import Asked, ToolCall
from parley_testing import projects


@function_tool
def note_down(words: str, about: str | None = None) -> str:
    """Note something down."""
    return words


@function_tool
def list_notes(about: str | None = None) -> list[str]:
    """List the notes."""
    return []


@function_tool
def book(guests: int, day: str) -> str:
    """Book a table."""
    return day


TOOLS = [note_down, list_notes, book]


def rule(asked: Asked) -> str | ToolCall | None:
    if asked.done:
        return f"{asked.done[-1][0]} gave {asked.done[-1][1]}, after {list(asked.past)}"
    return ToolCall("book", {"guests": 4, "day": "today"}) if asked.text == "a table" else None


@pytest.fixture(autouse=True)
def without_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve a project that names no rule."""
    projects.offer(monkeypatch, Manifest({"a": Offer("A.", "a:a")}, "a"))
    yield
    monkeypatch.undo()
    projects.forget()


@pytest.fixture
def with_a_rule(without_rules: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve one that names a rule."""
    monkeypatch.setattr("parley.agents.own_rules.locate", lambda _: rule)
    offered = Manifest({"a": Offer("A.", "a:a")}, "a", offline=("desk.offline:rule",))
    projects.offer(monkeypatch, offered)


def ask(*items: Any, tools: Any = TOOLS) -> Any:
    """Return the model's reply, or the (tool, arguments) of its call."""
    response = asyncio.run(
        OfflineProvider()
        .get_model(None)
        .get_response(
            *(None, list(items), None, tools, None, [], None),  # type: ignore[arg-type]
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
    )
    (output,) = response.output
    if output.type == "function_call":
        return output.name, json.loads(output.arguments)
    assert output.type == "message"
    return output.content[0].text.removeprefix("[offline model] ")  # type: ignore[union-attr]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, output: Any) -> list[dict[str, Any]]:
    return [
        {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": json.dumps(output)},
    ]


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("note buy milk", ("note_down", {"words": "buy milk", "about": None})),
        ("Note  buy milk!", ("note_down", {"words": "buy milk", "about": None})),
        ("list", ("list_notes", {"about": None})),
        ("What do I have?", ("list_notes", {"about": None})),
        ("show me all of them", ("list_notes", {"about": None})),
    ],
)
def test_the_first_word_finds_the_tool(said: str, call: Any) -> None:
    assert ask(user(said)) == call


@pytest.mark.parametrize("said", ["book a table", "note", "hello", ""])
def test_what_it_cannot_make_a_call_of_it_says(said: str) -> None:
    assert ask(user(said)) == (
        "I am only Parley's stand-in without a model key. I understand: note …, list notes."
        " Set OPENAI_API_KEY for more."
    )


def test_where_no_tool_is_simple_it_can_do_nothing() -> None:
    assert "needs a real model" in ask(user("book a table"), tools=[book])
    assert "needs a real model" in ask(user("hello"), tools=[])


@pytest.mark.parametrize(
    ("output", "reply"),
    [
        ("Noted.", "Noted."),
        ([], "There is nothing."),
        (["milk", {"words": "eggs", "often": 2}], "- milk\n- words: eggs, often: 2"),
    ],
)
def test_what_a_tool_gave_is_the_reply(output: Any, reply: str) -> None:
    assert ask(user("list"), *called("list_notes", output)) == reply


@pytest.mark.usefixtures("with_a_rule")
def test_a_rule_of_the_project_s_goes_first_and_may_leave_it() -> None:
    assert ask(user("a table")) == ("book", {"guests": 4, "day": "today"})
    assert ask(user("note x")) == ("note_down", {"words": "x", "about": None})


@pytest.mark.usefixtures("with_a_rule")
def test_a_rule_knows_what_tools_gave_now_and_before() -> None:
    before = [user("list"), *called("list_notes", ["milk"])]

    said = ask(*before, user("a table"), *called("book", {"day": "today"}))

    assert said == "book gave {'day': 'today'}, after [['milk']]"
