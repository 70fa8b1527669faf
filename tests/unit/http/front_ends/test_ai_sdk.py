"""A turn as the parts of an AI SDK message: in order, and the text exactly once.

What others' servers got wrong is replayed here; each such test names the report.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from parley.errors import StoreUnavailable
from parley.http.front_ends.ai_sdk import MessageStream
from parley.http.front_ends.narration import CUT
from parley.repository.transcript import TurnView
from parley_testing.streams.ai_sdk import DONE, kinds, message_of, parts_in
from parley_testing.streams.told import (
    COMPLETED,
    SESSION,
    TURN,
    Happening,
    approval,
    asked,
    called,
    decided,
    delta,
    reset,
    returned,
    stopped,
    told_of,
    turn,
    whole,
)

WIRE = MessageStream("../", "alice", frozenset())


def told(*happening: Happening, wire: MessageStream = WIRE, **parts: Any) -> list[dict[str, Any]]:
    async def read() -> bytes:
        return b"".join([part async for part in wire.parts(told_of(*happening, **parts))])

    return parts_in(asyncio.run(read()), goes_on=bool(parts.get("answered")))


def error_of(parts: list[dict[str, Any]]) -> str:
    assert parts[-1]["type"] == "error"
    code: str = json.loads(parts[-1]["errorText"])["code"]
    return code


def test_the_version_is_said_and_where_the_turn_is() -> None:
    headers = WIRE.headers(TurnView(turn(), None, None), replayed=True)

    assert headers == {
        "x-vercel-ai-ui-message-stream": "v1",
        "Location": f"../sessions/{SESSION}/turns/{TURN}",
        "Idempotent-Replayed": "true",
    }


def test_a_message_begins_has_a_step_and_finishes() -> None:
    parts = told(None, delta("Hel"), delta("lo"), whole("Hello", None), COMPLETED)

    # assistant-ui/assistant-ui#4676: a step before the message's start is no message of a client.
    assert kinds(parts) == [
        *("start", "start-step", "text-start", "text-delta", "text-end"),
        *("finish-step", "finish"),
    ]
    assert parts[0]["messageId"] == str(TURN)
    assert parts[0]["messageMetadata"] == {"sessionId": str(SESSION), "turnId": str(TURN)}
    assert parts[-1]["messageMetadata"] == {"usage": {"inputTokens": 5, "outputTokens": 3}}
    assert message_of(parts) == ["Hello"]


def test_a_tool_ends_its_step() -> None:
    # Clients send a message again by themselves whose last step holds nothing but answered calls.
    parts = told(
        *(None, delta("I add"), whole("I add"), called("a"), called("b"), returned("1", "a")),
        *(returned({"n": 2}, "b"), delta("Done", 1), whole("Done", None), COMPLETED),
    )

    steps = [kind for kind in kinds(parts) if "step" in kind or kind.startswith("tool-output")]
    assert steps == [
        *("start-step", "tool-output-available", "tool-output-available", "finish-step"),
        *("start-step", "finish-step"),
    ]
    assert message_of(parts) == [
        "I add",
        ["add_task", {"title": "milk"}, "1"],
        ["add_task", {"title": "milk"}, {"n": 2}],
        "Done",
    ]


@pytest.mark.parametrize(
    "arguments", ['{"title": "mi', '{"a": NaN}', "", "[" * 5000, '{"title": "\\ud800"}']
)
def test_arguments_that_are_no_json_are_told_as_text(arguments: str) -> None:
    assert message_of(told(None, called(arguments=arguments), COMPLETED)) == [
        ["add_task", arguments]
    ]


def test_a_turn_that_fails_says_why_with_our_code() -> None:
    parts = told(None, delta("Hel"), stopped("turn.failed"))

    assert json.loads(parts[-1]["errorText"]) == {
        "code": "model_failed",
        "detail": "It did not work.",
    }


def test_a_cancelled_turn_is_aborted() -> None:
    parts = told(None, delta("Hel"), stopped("turn.cancelled", "cancelled"))

    assert parts[-1] == {"type": "abort", "reason": "It did not work."}


def test_text_that_is_void_has_the_client_come_back_for_the_message() -> None:
    before = (delta("Hel"), reset(), delta("Hi"))

    assert error_of(told(None, *before, whole("Hi", None), COMPLETED)) == "message_reset"
    # Who comes back is told the message without it, and never the same again.
    assert message_of(told(*before, None, whole("Hi", None), COMPLETED)) == ["Hi"]
    assert message_of(told(*before, whole("Hi", None), COMPLETED)) == ["Hi"]


@pytest.mark.parametrize("pieces", [["Hel"], [], ["Hello"]], ids=["less", "nothing", "all"])
@pytest.mark.parametrize("read_before", [True, False])
def test_the_whole_text_counts(pieces: list[str], read_before: bool) -> None:
    happening: list[Happening] = [*map(delta, pieces), whole("Hello", None), COMPLETED]
    happening.insert(len(happening) - 1 if read_before else 0, None)

    assert message_of(told(*happening)) == ["Hello"]


def test_text_of_which_events_were_lost_is_told_whole_to_who_comes_back() -> None:
    lost: Happening = ("events.lost", {"count": 1})
    before = (delta("He"), lost, delta("lo"))

    assert error_of(told(None, *before, whole("Hello", None), COMPLETED)) == "message_reset"
    assert message_of(told(*before, whole("Hello", None), None, COMPLETED)) == ["Hello"]


def test_a_stream_that_ends_before_its_turn_says_so() -> None:
    assert error_of(told(delta("Hel"))) == "stream_interrupted"
    assert error_of(told(None, StoreUnavailable("postgres", "x"))) == "store_unavailable"
    assert b"stream_interrupted" in WIRE.farewell
    assert WIRE.farewell.endswith(DONE + b"\n\n")


@pytest.mark.parametrize(
    "hostile", ["\n\ndata: [DONE]\n\n", "</script>", "\u2028\x85\r\n\x1b[2J\u202e", "é😀" * 10_000]
)
def test_hostile_text_stays_text(hostile: str) -> None:
    parts = told(
        *(None, called(), returned(hostile), delta(hostile, 1), whole(hostile, None)), COMPLETED
    )

    assert message_of(parts) == [["add_task", {"title": "milk"}, hostile], hostile]


# -- What a turn asks for.

REFUND = approval("call_1")


def types(parts: list[dict[str, Any]]) -> list[str]:
    return [part["type"] for part in parts]


@pytest.mark.parametrize(("length", "cut"), [(16_000, False), (16_001, True)])
def test_who_is_asked_about_more_than_is_shown_is_told_so(length: int, cut: bool) -> None:
    arguments = json.dumps({"note": "x" * (length - 12)})
    parts = told(asked("call_1", arguments=arguments), waits_for=[approval("call_1")])

    (shown,) = [each["input"] for each in parts if each["type"] == "tool-input-available"]
    assert shown == (arguments[:16_000] + CUT if cut else json.loads(arguments))


def test_a_log_that_does_not_say_whether_it_was_cut_is_told() -> None:
    kind, data = cast(tuple[Any, dict[str, Any]], asked("call_1"))
    del data["approvals"][0]["cut"]
    parts = told((kind, data), waits_for=[approval("call_1")])

    (shown,) = [each["input"] for each in parts if each["type"] == "tool-input-available"]
    assert shown == {"cents": 900}


def test_who_may_decide_is_asked_and_nobody_else() -> None:
    mine = told(asked("call_1"), waits_for=[REFUND])
    theirs = told(asked("call_1", decider="admin"), waits_for=[approval("call_1")])

    assert types(mine)[-3:] == ["tool-approval-request", "finish-step", "finish"]
    assert mine[-3]["approvalId"] == str(REFUND.id)
    assert "tool-approval-request" not in types(theirs)


def test_what_was_decided_is_told_once() -> None:
    happening = (asked("call_1"), decided("call_1", "rejected"), asked("call_2"))
    waits_for = [approval("call_1", "rejected"), approval("call_2")]

    parts = types(told(*happening, waits_for=waits_for))

    assert parts.count("tool-approval-response") == parts.count("tool-output-denied") == 1


def test_edited_arguments_are_told() -> None:
    edited = called("call_1", '{"cents": 5}')
    parts = told(asked("call_1"), decided("call_1", edited=True), edited, COMPLETED)

    inputs = [part["input"] for part in parts if part["type"] == "tool-input-available"]
    assert inputs == [{"cents": 900}, {"cents": 5}]


def test_an_approved_call_of_a_cancelled_turn_is_over() -> None:
    parts = told(asked("call_1"), decided("call_1"), stopped("turn.cancelled"))

    assert types(parts)[-2:] == ["tool-output-error", "abort"]


def test_who_answers_what_the_log_has_lost_is_told_no_text_twice() -> None:
    wire = MessageStream("../", "alice", frozenset(), frozenset({"Hm"}))

    parts = told(
        whole("Hm"), decided("call_1"), whole("Done", 1), COMPLETED, answered=[REFUND], wire=wire
    )

    assert [part["delta"] for part in parts if part["type"] == "text-delta"] == ["Done"]


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_who_has_answered_is_asked_once_where_the_log_tells_only_later_that_it_waited(
    decision: str,
) -> None:
    """Whoever had it wait died before it wrote that, and who goes on writes it first."""
    made = [called("call_1"), returned("refunded", "call_1")] if decision == "approved" else []
    since = [decided("call_1", decision), *made, whole("Done", 1), COMPLETED]

    late = told(whole("Hm"), None, asked("call_1"), *since, answered=[REFUND])
    never = told(whole("Hm"), None, *since, answered=[REFUND])

    assert late == never
    assert types(late).count("tool-approval-request") == 1
