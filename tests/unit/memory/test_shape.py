"""What is kept of a run's items: well-formed, whatever comes in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parley.memory.shape import in_order, lasting, well_formed

TEXTS = st.sampled_from(["hello", "nul \0", "lone \ud800", ""])
IDS = st.sampled_from(["call_0", "call_1", "call_2"])


def messages() -> st.SearchStrategy[dict[str, Any]]:
    parts = st.lists(
        st.fixed_dictionaries({"type": st.just("output_text"), "text": TEXTS}), max_size=2
    )
    return st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": TEXTS | parts},
        optional={"type": st.just("message"), "id": st.just("msg_1"), "status": st.just("done")},
    )


def calls(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    made = st.fixed_dictionaries(
        {"type": st.just(kind), "call_id": IDS, "name": TEXTS, "arguments": TEXTS},
        optional={"id": st.just("fc_1"), "status": st.just("completed")},
    )
    given = st.fixed_dictionaries(
        {"type": st.just(f"{kind}_output"), "call_id": IDS, "output": TEXTS},
        optional={"id": st.just("fco_1")},
    )
    return made | given


OTHERS = st.sampled_from(
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
    ]
)
ITEMS = st.lists(messages() | calls("function_call") | calls("custom_tool_call") | OTHERS)


def unpaired(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The naive check: every output ends a call that waits, and in the end none waits."""
    waiting: list[tuple[str, str]] = []
    wrong = []
    for item in items:
        kind = item.get("type", "message")
        if kind.endswith("_output"):
            made = (kind.removesuffix("_output"), item["call_id"])
            if made in waiting:
                waiting.remove(made)
            else:
                wrong.append(item)
        elif kind != "message":
            waiting.append((kind, item["call_id"]))
    return [*wrong, *waiting]  # type: ignore[list-item]


@given(ITEMS)
def test_calls_and_outputs_come_in_pairs(items: list[dict[str, Any]]) -> None:
    assert unpaired(lasting(items)) == []


@given(ITEMS)
def test_nothing_of_a_servers_state_is_kept(items: list[dict[str, Any]]) -> None:
    for item in lasting(items):
        assert "id" not in item
        assert item.get("type", "message") in (
            *("message", "function_call", "function_call_output"),
            *("custom_tool_call", "custom_tool_call_output"),
        )


@given(ITEMS)
def test_the_order_is_kept_and_every_message_too(items: list[dict[str, Any]]) -> None:
    marked = [{**item, "name": place} if "name" in item else item for place, item in
              enumerate(items)]  # fmt: skip
    kept = lasting(marked)
    places = [item["name"] for item in kept if "name" in item]

    assert places == sorted(places)
    said = [item for item in items if item.get("type", "message") == "message"]
    assert len([item for item in kept if "role" in item]) == len(said)


@given(ITEMS)
def test_what_is_kept_can_be_stored(items: list[dict[str, Any]]) -> None:
    written = repr(lasting(items))

    assert "\\x00" not in written
    assert "\\ud800" not in written


@given(ITEMS)
def test_keeping_twice_changes_nothing(items: list[dict[str, Any]]) -> None:
    kept = lasting(items)

    assert lasting(kept) == well_formed(kept) == kept


def test_of_two_calls_with_one_id_in_an_answer_the_first_is_kept() -> None:
    def made(kind: str, *numbers: int) -> list[dict[str, Any]]:
        return [{"type": kind, "call_id": f"c{number}"} for number in numbers]

    calls, outputs = "function_call", "function_call_output"
    items = [
        *made(calls, 0, 1),
        *made(outputs, 0),
        *made(calls, 0),
        *made(outputs, 0, 1),
    ]

    assert well_formed(items) == [*made(calls, 0, 1), *made(outputs, 0, 1)]


def test_whole_pairs_are_kept() -> None:
    pair = [
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]

    assert lasting(pair) == pair


def test_an_output_before_its_call_is_no_pair() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    call = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}

    assert lasting([output, call]) == []


def test_a_refusal_is_kept_as_what_was_said() -> None:
    parts = [{"type": "refusal", "refusal": "I would "}, {"type": "refusal", "refusal": "not."}]

    kept = lasting([{"type": "message", "role": "assistant", "content": parts}])

    assert kept == [{"role": "assistant", "content": "I would not."}]


def test_a_picture_stays_in_its_message() -> None:
    content = [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "x"}]

    assert lasting([{"role": "user", "content": content}]) == [{"role": "user", "content": content}]


USER = {"role": "user", "content": "my tasks?"}
CALL = {"type": "function_call", "call_id": "c", "name": "list_tasks", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "none"}
FAKE = {"id": "__fake_id__"}


def test_words_after_a_call_come_before_it() -> None:
    words = {"role": "assistant", "content": "Let me see."}

    assert lasting([USER, CALL, words, OUTPUT]) == [USER, words, CALL, OUTPUT]
    assert in_order([USER, CALL, words, OUTPUT, USER]) == [USER, words, CALL, OUTPUT, USER]


def test_of_several_calls_each_output_follows_all() -> None:
    second, answer = {**CALL, "call_id": "d"}, {**OUTPUT, "call_id": "d"}
    words = {"role": "assistant", "content": "Let me see."}

    assert in_order([CALL, second, OUTPUT, words, answer]) == [words, CALL, second, OUTPUT, answer]


def test_what_chat_completions_gave_stays_one_answer() -> None:
    text = [{"type": "output_text", "text": "Let me see.", "annotations": []}]
    words = {**FAKE, "type": "message", "role": "assistant", "content": text}
    thought = {**FAKE, "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    given = [USER, thought, {**FAKE, **CALL}, words, OUTPUT, thought, words]

    kept = lasting(given)

    plain = {"role": "assistant", "content": "Let me see."}
    assert kept == [USER, thought, words, CALL, OUTPUT, plain]
    assert lasting(kept) == kept


def test_thoughts_go_with_a_call_that_goes() -> None:
    thought = {**FAKE, "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}

    assert lasting([USER, thought, CALL]) == [USER]
