"""A turn as AG-UI's events: valid, in order, and the text exactly once for whoever applies them.

What others' servers got wrong is replayed here; each such test names the report.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from parley.errors import StoreUnavailable
from parley.http.front_ends.ag_ui import Run, empty_run
from parley.http.front_ends.narration import CUT
from parley_testing.streams.ag_ui import applied, events_in, kinds
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
    whole,
)

ASKED = {"id": "m-1", "role": "user", "content": "add milk"}
RUN = Run("thread 1", "run-1", [ASKED], 0, "alice")


def told(
    *happening: Happening, run: Run = RUN, before: Any = (), **parts: Any
) -> list[dict[str, Any]]:
    async def read() -> bytes:
        return b"".join([part async for part in run.parts(told_of(*happening, **parts))])

    return events_in(asyncio.run(read()), before)


def texts(events: list[dict[str, Any]]) -> list[str]:
    """The texts that a client holds who took all of the stream."""
    return [each["content"] for each in applied(events, [ASKED]) if "content" in each][1:]


@pytest.mark.parametrize(("length", "cut"), [(16_000, False), (16_001, True)])
@pytest.mark.parametrize("may", [True, False])
def test_who_is_asked_about_more_than_is_shown_is_told_so(
    length: int, cut: bool, may: bool
) -> None:
    arguments = json.dumps({"note": "x" * (length - 12)})
    assert len(arguments) == length
    happening = asked("call_1", arguments=arguments)
    wanted = approval("call_1", decider="user" if may else "admin", arguments=arguments)
    events = told(happening, waits_for=[wanted])

    (interrupt,) = events[-1]["outcome"]["interrupts"]
    assert interrupt["metadata"]["cut"] is cut
    assert ("longer than is shown" in interrupt["message"]) is cut
    (given,) = [each["delta"] for each in events if each["type"] == "TOOL_CALL_ARGS"]
    shown = json.loads(given)
    assert (shown == arguments[:16_000] + CUT) if cut else (shown == json.loads(arguments))


def test_a_run_names_its_thread_itself_and_the_turn() -> None:
    events = told(None, delta("Hel"), delta("lo"), whole("Hello", None), COMPLETED)

    assert kinds(events) == [
        *("RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]
    assert texts(events) == ["Hello"]
    # neuron-core/neuron-ai#607: without the thread at its end, and with another id of the run,
    # clients break the run off.
    for event in (events[0], events[-1]):
        assert (event["threadId"], event["runId"]) == ("thread 1", "run-1")
    assert events[0]["metadata"] == {"sessionId": str(SESSION), "turnId": str(TURN)}
    assert events[-1]["outcome"] == {"type": "success"}
    assert events[-1]["usage"] == [{"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}]


@pytest.mark.parametrize(
    ("output", "content"), [("done", "done"), ({"a": [1, None]}, '{"a": [1, null]}'), ("", "")]
)
def test_a_tool_has_its_arguments_and_its_result(output: Any, content: str) -> None:
    events = told(None, called(), returned(output), delta("Done."), whole("Done."), COMPLETED)

    assert kinds(events)[1:5] == [
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"),
    ]
    call, result, said = applied(events)
    assert call["toolCall"] == {"name": "add_task", "arguments": '{"title": "milk"}'}
    assert (result["content"], said["content"]) == (content, "Done.")


def test_calls_that_a_model_names_alike_in_each_turn_are_told_apart() -> None:
    # ag-ui-protocol/ag-ui#1524: a client takes a call whose id it knows for the same one.
    (start,) = (each for each in told(None, called("call_0"), COMPLETED) if "toolCallName" in each)

    assert start["toolCallId"] == f"{TURN}-call_0"


def test_no_piece_of_text_is_empty() -> None:
    # ag-ui-protocol/ag-ui#734: an empty one is refused by the protocol's models.
    events = told(
        None, delta(""), delta("a"), delta(""), whole("a"), called(arguments=""), COMPLETED
    )

    assert "TOOL_CALL_ARGS" not in kinds(events)
    assert texts(events) == ["a"]


def test_a_text_that_goes_on_behind_a_call_is_another() -> None:
    # agentscope-ai/agentscope-java#3071: text behind the end of its message breaks the run off.
    events = told(None, delta("I add"), called(), delta(" it"), returned("ok"), COMPLETED)

    assert texts(events) == ["I add", " it", "ok"]


@pytest.mark.parametrize("kind", ["turn.failed", "turn.cancelled", "turn.completed"])
def test_a_text_that_is_open_ends_with_the_run(kind: Any) -> None:
    # contextablemark/clawg-ui#7: a run that ends while a text is open is refused by clients.
    end = COMPLETED if kind == "turn.completed" else stopped(kind)
    events = told(None, delta("Hel"), end)

    assert kinds(events)[-2] == "TEXT_MESSAGE_END"


def test_a_turn_that_fails_says_why_with_our_code() -> None:
    assert told(None, stopped("turn.failed"))[-1] == {
        "type": "RUN_ERROR",
        "code": "model_failed",
        "message": "It did not work.",
    }


def test_a_cancelled_turn_is_a_cancelled_run() -> None:
    assert told(None, stopped("turn.cancelled", "cancelled"))[-1]["outcome"] == {
        "type": "cancelled"
    }


def test_text_that_is_void_is_taken_back_by_a_snapshot_of_all() -> None:
    events = told(
        *(None, called(), returned("ok"), delta("Hel", 1), reset(1)),
        *(delta("Hi", 1), whole("Hi", None), COMPLETED),
    )

    (snapshot,) = (each for each in events if each["type"] == "MESSAGES_SNAPSHOT")
    assert [each["role"] for each in snapshot["messages"]] == ["user", "assistant", "tool"]
    assert snapshot["messages"][0] == ASKED
    assert texts(events) == ["ok", "Hi"]


def test_text_that_was_void_before_the_reader_came_is_not_told() -> None:
    events = told(delta("Hel"), reset(), delta("Hi"), None, whole("Hi", None), COMPLETED)

    assert "MESSAGES_SNAPSHOT" not in kinds(events)
    assert texts(events) == ["Hi"]


@pytest.mark.parametrize("read_before", [True, False])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [(["Hel"], "Hello"), ([], "Hello"), (["Hol"], "Hello"), (["Hello"], "Hello")],
    ids=["less", "nothing", "something else", "all"],
)
def test_the_whole_text_counts_whatever_its_pieces_were(
    pieces: list[str], text: str, read_before: bool
) -> None:
    happening: list[Happening] = [*map(delta, pieces), whole(text, None), COMPLETED]
    happening.insert(len(happening) - 1 if read_before else 0, None)

    assert texts(told(*happening)) == [text]


def test_a_reply_that_no_event_holds_is_read_from_the_turn() -> None:
    reply = "long " * 20_000

    assert texts(told(None, whole(None, None), COMPLETED, reply=reply)) == [reply]
    assert texts(told(None, delta(reply), whole(None, None), COMPLETED)) == [reply]


def test_a_client_that_holds_a_part_is_told_to_drop_it_first() -> None:
    held = [ASKED, {"id": f"{TURN}-0", "role": "assistant", "content": "Hel"}]
    again = Run("thread 1", "run-1", held, 0, "alice")

    events = told(delta("Hello"), whole("Hello", None), COMPLETED, run=again, replayed=True)

    assert kinds(events)[1] == "MESSAGES_SNAPSHOT"
    assert [each["content"] for each in applied(events, held)] == ["add milk", "Hello"]


@pytest.mark.parametrize("read_before", [True, False])
def test_a_stream_that_ends_before_its_turn_says_so(read_before: bool) -> None:
    assert told(delta("Hel"), *[None] * read_before)[-1]["code"] == "stream_interrupted"
    assert events_in(b'data: {"type":"RUN_STARTED","threadId":"t","runId":"r"}\n\n' + RUN.farewell)


def test_a_store_that_fails_meanwhile_is_told_and_nothing_of_ours() -> None:
    events = told(None, delta("Hel"), StoreUnavailable("postgres", "password"))
    defect = told(None, RuntimeError("secret"))

    assert events[-1]["code"] == "store_unavailable"
    assert defect[-1]["code"] == "internal_error"
    assert "secret" not in str(defect)
    assert "password" not in str(events)


@pytest.mark.parametrize(
    "hostile",
    [
        "\n\ndata: {}\n\n",
        "<script>alert(1)</script>",
        "\u2028\u2029\x85\r\n\x1b[2J",
        "\u202eevil",
        "é😀" * 10_000,
    ],
)
def test_hostile_text_stays_text(hostile: str) -> None:
    events = told(
        *(None, called(arguments=hostile), returned(hostile)),
        *(delta(hostile), whole(hostile, None), COMPLETED),
    )

    call, result, said = applied(events)
    assert result["content"] == said["content"] == hostile
    # What is no JSON is told as JSON's text: clients read arguments as JSON.
    assert json.loads(call["toolCall"]["arguments"]) == hostile


def test_who_says_nothing_gets_a_run_of_nothing() -> None:
    # contextablemark/clawg-ui#18: CopilotKit asks so when it is mounted.
    assert kinds(events_in(empty_run("t", "r").encode())) == ["RUN_STARTED", "RUN_FINISHED"]


def test_what_the_protocols_have_no_word_for_is_passed_over() -> None:
    events = told(
        ("turn.started", {}), ("turn.resumed", {"attempt": 2}), ("events.lost", {"count": 1}),
        COMPLETED,
    )  # fmt: skip

    assert kinds(events) == ["RUN_STARTED", "RUN_FINISHED"]


# -- What a turn asks for.

REFUND = approval("call_1")


def test_what_the_turn_waits_for_is_the_run_s_outcome() -> None:
    others = approval("call_2", decider="admin")

    events = told(delta("Hm"), asked("call_1", "call_2"), waits_for=[REFUND, others])

    outcome = events[-1]["outcome"]
    assert outcome["type"] == "interrupt"
    mine, theirs = outcome["interrupts"]
    assert (mine["id"], mine["toolCallId"]) == (str(REFUND.id), f"{TURN}-call_1")
    assert [each["metadata"]["mayDecide"] for each in (mine, theirs)] == [True, False]
    assert kinds(events)[-2:] == ["MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert "TEXT_MESSAGE_END" in kinds(events)


def test_a_wait_that_is_over_by_now_is_no_outcome() -> None:
    assert told(asked("call_1"))[-1]["code"] == "stream_interrupted"


@pytest.mark.parametrize("read_before", [True, False])
def test_who_has_answered_is_told_the_rest_alone(read_before: bool) -> None:
    first = (delta("Hm"), whole("Hm"), called("call_0"), returned("x", "call_0"), asked("call_1"))
    before = told(*first, waits_for=[REFUND])
    since = (decided("call_1"), called("call_1"), returned("refunded", "call_1"), COMPLETED)

    events = told(*first, *[None] * read_before, *since, answered=[REFUND], before=before)

    assert kinds(events) == ["RUN_STARTED", "TOOL_CALL_RESULT", "RUN_FINISHED"]


def test_a_rejected_call_has_a_result() -> None:
    said = {
        status: told(asked("call_1"), decided("call_1", status, reason="no"), COMPLETED)[-2]
        for status in ("rejected", "expired")
    }

    assert said["rejected"]["content"].endswith("The reason given: no")
    assert "in time" in said["expired"]["content"]


def test_an_answer_to_what_the_log_has_lost_begins_with_all_messages() -> None:
    held = [ASKED, {"id": f"{TURN}-0", "role": "assistant", "content": "Hm"}]
    run = Run("thread 1", "run-2", held, 0, "alice")

    events = told(whole("Hm"), decided("call_1"), COMPLETED, answered=[REFUND], run=run)

    assert kinds(events)[1] == "MESSAGES_SNAPSHOT"
    assert [each.get("content") for each in applied(events, held)] == ["add milk", "Hm"]
