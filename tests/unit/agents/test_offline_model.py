"""The offline model's rules, one step at a time."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from parley.agents.offline import OfflineProvider
from parley.agents.offline_rules import NO_TOOLS
from parley.runner.summary_prompt import INSTRUCTIONS
from support_desk.offline import STAND_IN as SUPPORT_STAND_IN
from tasks_desk.offline import HELP, STAND_IN

TOOLS = ("add_task", "list_tasks", "find_tasks", "change_task", "complete_task", "delete_task")
TASK = {"task_id": "7", "title": "buy milk", "notes": None, "completed": False}
OTHER = {"task_id": "8", "title": "spill milk", "notes": "all", "completed": True}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, output: Any) -> list[dict[str, Any]]:
    """A call that was made, and what it gave."""
    text = output if isinstance(output, str) else json.dumps(output)
    return [
        {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": text},
    ]


def ask(*items: Any, tools: tuple[str, ...] = TOOLS) -> Any:
    """Return the model's reply, or the (tool, arguments) of its call."""
    model: Any = OfflineProvider().get_model(None)
    offered = [SimpleNamespace(name=name) for name in tools]
    response = asyncio.run(
        model.get_response(
            *(None, list(items), None, offered, None, [], None),
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
    )
    (output,) = response.output
    if output.type == "function_call":
        return output.name, json.loads(output.arguments)
    text: str = output.content[0].text
    assert text.startswith("[offline model] ")
    return text.removeprefix("[offline model] ")


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("add buy milk", ("add_task", {"title": "buy milk", "notes": None, "due_at": None})),
        ("ADD  Buy   Milk!", ("add_task", {"title": "Buy Milk", "notes": None, "due_at": None})),
        ("what do I have?", ("list_tasks", {"completed": False})),
        ("What do I have to do today?", ("list_tasks", {"completed": False})),
        ("list", ("list_tasks", {"completed": False})),
        ("find milk", ("find_tasks", {"text": "milk"})),
        ("done milk", ("find_tasks", {"text": "milk"})),
        ("done with milk", ("find_tasks", {"text": "milk"})),
        ("complete milk.", ("find_tasks", {"text": "milk"})),
        ("delete milk", ("find_tasks", {"text": "milk"})),
        ("remove milk", ("find_tasks", {"text": "milk"})),
    ],
)
def test_a_command_calls_its_tool(said: str, call: Any) -> None:
    assert ask(user(said)) == call


def test_it_reads_text_in_parts() -> None:
    assert ask(user([{"type": "input_text", "text": "find milk"}])) == (
        "find_tasks",
        {"text": "milk"},
    )


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("done that", ("complete_task", {"task_id": "7"})),
        ("done it", ("complete_task", {"task_id": "7"})),
        ("delete that task", ("delete_task", {"task_id": "7"})),
        (
            "add two bottles to that task",
            (
                "change_task",
                {"task_id": "7", "title": None, "notes": "two bottles", "due_at": None},
            ),
        ),
    ],
)
@pytest.mark.parametrize("shown", [TASK, [TASK]], ids=["one", "list of one"])
def test_that_task_is_the_one_that_a_tool_showed_last(said: str, call: Any, shown: Any) -> None:
    past = [user("?"), *called("add_task", OTHER), user("?"), *called("find_tasks", shown)]

    assert ask(*past, user(said)) == call


def test_notes_are_added_to_those_there_are() -> None:
    _, arguments = ask(user("?"), *called("find_tasks", [OTHER]), user("add more to that"))

    assert arguments["notes"] == "all\nmore"


@pytest.mark.parametrize("said", ["done that", "delete it", "add more to that task"])
@pytest.mark.parametrize(
    "past", [[], called("list_tasks", []), called("add_task", "title is empty.")]
)
def test_it_says_when_it_does_not_know_that_task(said: str, past: list[Any]) -> None:
    assert ask(user("?"), *past, user(said)) == "I do not know which task you mean."


@pytest.mark.parametrize(
    ("said", "done", "reply"),
    [
        ("add buy milk", called("add_task", TASK), "Added “buy milk”."),
        ("add more to that", called("change_task", OTHER), "Changed “spill milk (all) — done”."),
        ("done that", called("complete_task", TASK), "Done: “buy milk”."),
        ("delete that", called("delete_task", {"deleted": TASK}), "Deleted “buy milk”."),
        ("list", called("list_tasks", []), "There is nothing."),
        ("find milk", called("find_tasks", [TASK, OTHER]),
         "You have:\n- buy milk\n- spill milk (all) — done"),
        ("add x", called("add_task", "There is no task 7."), "There is no task 7."),
    ],
)  # fmt: skip
def test_it_tells_what_a_tool_gave(said: str, done: list[Any], reply: str) -> None:
    assert ask(user(said), *done) == reply


@pytest.mark.parametrize(
    ("said", "found", "next_step"),
    [
        ("done milk", [TASK], ("complete_task", {"task_id": "7"})),
        ("done milk", [TASK, OTHER], ("complete_task", {"task_id": "7"})),
        ("delete milk", [OTHER], ("delete_task", {"task_id": "8"})),
        ("delete milk", [TASK, OTHER], "Which one?\n- buy milk\n- spill milk (all) — done"),
        ("done milk", [OTHER], "I find no such task."),
        ("delete milk", [], "I find no such task."),
    ],
)
def test_it_acts_on_the_one_task_that_fits(said: str, found: Any, next_step: Any) -> None:
    assert ask(user(said), *called("find_tasks", found)) == next_step


def test_it_says_what_it_can() -> None:
    assert ask(user("help")) == HELP


@pytest.mark.parametrize("said", ["how are you?", "", "tell me about milk"])
def test_it_says_that_it_is_the_offline_model(said: str) -> None:
    assert ask(user(said)) == STAND_IN


def test_without_tools_it_can_do_nothing() -> None:
    assert ask(user("add buy milk"), tools=()) == NO_TOOLS


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I want a human", "I want a human"),
        ("Can I talk to a  PERSON?", "Can I talk to a PERSON?"),
        ("escalate my parcel is lost", "my parcel is lost"),
        ("Escalate!", "The user asked for it."),
    ],
)
def test_in_support_it_escalates_where_that_is_wanted(said: str, reason: str) -> None:
    assert ask(user(said), tools=("escalate",)) == ("escalate", {"reason": reason})


@pytest.mark.parametrize("said", ["how are you?", "humanity", "de-escalate"])
def test_in_support_it_says_otherwise_that_it_is_the_offline_model(said: str) -> None:
    assert ask(user(said), tools=("escalate",)) == SUPPORT_STAND_IN


@pytest.mark.parametrize(
    ("said", "order", "cents"),
    [("refund 80 of order A-1", "A-1", 8000), ("Refund 12.50 of  B2", "B2", 1250)],
)
def test_in_support_it_refunds_where_it_can(said: str, order: str, cents: int) -> None:
    given = {"order_number": order, "cents": cents, "reason": "The user asked for it."}

    assert ask(user(said), tools=("escalate", "refund")) == ("refund", given)
    assert ask(user(said), tools=("escalate",)) == SUPPORT_STAND_IN


def test_in_support_it_tells_what_the_tool_gave() -> None:
    done = called("escalate", "A person will look.")

    assert ask(user("escalate"), *done, tools=("escalate",)) == "A person will look."


def test_it_writes_notes_of_how_messages_begin() -> None:
    def noted(notes: str | None, *said: str) -> str:
        turns = [{"user": text, "assistant": "ok"} for text in said]
        model: Any = OfflineProvider().get_model(None)
        asks = json.dumps({"notes": notes, "turns": turns})
        response = asyncio.run(
            model.get_response(
                *(INSTRUCTIONS, [user(asks)], None, [], None, [], None),
                previous_response_id=None,
                conversation_id=None,
                prompt=None,
            )
        )
        (output,) = response.output
        return str(output.content[0].text)

    first = noted(None, "I am Ada.\nHello!", "x" * 500)
    second = noted(first, "And now?")

    assert first == "[offline model] The user said:\n- I am Ada. Hello!\n- " + "x" * 100
    assert second == first + "\n- And now?"
    assert len(noted(None, *map(str, range(500))).splitlines()) == 101
