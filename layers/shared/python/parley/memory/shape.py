"""The shape of memory: what of a run's items is kept, and that what is kept is well-formed.

A model refuses a conversation for good if a tool call in it has no output, or an output no call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parley.memory.item_fields import KEPT
from parley.memory.store import Item
from parley.text import storable_json

PLACEHOLDER_ID = "__fake_id__"
"""The id that the SDK gives what comes from Chat Completions, where messages have none."""

_OUTPUT_OF = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
_OUTPUTS = frozenset(_OUTPUT_OF.values())


def user_message(text: str) -> Item:
    """Make the item of what the user said."""
    return {"role": "user", "content": text}


def assistant_message(text: str) -> Item:
    """Make the item of what the assistant said."""
    return {"role": "assistant", "content": text}


def lasting(items: Iterable[Any]) -> list[Item]:
    """Keep what a later turn can use, oldest first.

    Reasoning, hosted tools' items and item ids refer to state that the model's server keeps for
    this run, or not at all; another server, or the same one later, refuses them. Messages and pairs
    of tool calls and outputs stand for themselves. Reasoning that came through Chat Completions is
    text, and stays with the call that it led to: some servers refuse the call without it. See
    `item_fields` for every field.
    """
    return well_formed(kept for item in items if (kept := _kept(dict(item))) is not None)


def settled(items: Iterable[Item]) -> list[Item]:
    """Return what a run has so far as later turns will be shown it, where that is possible.

    Then they begin with the bytes that this one has sent. Reasoning that the model's server keeps
    goes when the turn is over, and what follows from it refers to it by ids until then.
    """
    given = list(items)
    if any(item.get("type") == "reasoning" and item.get("id") != PLACEHOLDER_ID for item in given):
        return given
    return [_kept(item) or item if _lasts(item) else item for item in given]


def _lasts(item: Item) -> bool:
    kind = item.get("type", "message")
    if kind == "message":
        return item.get("role") == "assistant"
    return kind in _OUTPUT_OF or kind in _OUTPUTS


def _kept(item: Item) -> Item | None:
    kind = item.get("type", "message")
    from_chat = item.get("id") == PLACEHOLDER_ID
    if kind not in KEPT or (kind == "reasoning" and not from_chat):
        return None
    kept = {key: item[key] for key in KEPT[kind] if item.get(key) is not None}
    if kind == "message":
        if from_chat:
            return {**kept, "id": PLACEHOLDER_ID, "type": "message"}
        kept.pop("type", None)
        return {**kept, "content": _plain(item.get("content"))}
    return kept


def _plain(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if part.get("type") == "output_text"]
    if len(texts) == len(content):
        return "".join(texts)
    refusals = [part.get("refusal") for part in content if part.get("type") == "refusal"]
    return "".join(refusals) if len(refusals) == len(content) else content


def well_formed(items: Iterable[Item]) -> list[Item]:
    """Drop tool calls without an output after them and outputs without a call before them."""
    given: list[Item] = storable_json(list(items))
    waiting: dict[tuple[str, str], int] = {}
    paired: set[int] = set()
    for place, item in enumerate(given):
        kind = item.get("type", "message")
        if kind in _OUTPUT_OF:
            waiting[_OUTPUT_OF[kind], item["call_id"]] = place
        elif kind in _OUTPUTS and (call := waiting.pop((kind, item["call_id"]), None)) is not None:
            paired |= {call, place}
    alone = _OUTPUT_OF.keys() | _OUTPUTS
    return in_order(
        item
        for place, item in enumerate(given)
        if place in paired or item.get("type", "message") not in alone
    )


def in_order(items: Iterable[Item]) -> list[Item]:
    """Put each answer's items in the order that every server takes: thoughts, words, calls.

    A model may speak after it has called, and Chat Completions refuses whatever stands between a
    call and its output. A message that came from there stays typed beside a call, since the SDK
    then makes one message of both, as they were; any other is plain. Thoughts stay with a call.
    A call whose id another of its answer has is dropped with its output: no server takes both.
    """
    ordered: list[Item] = []
    answer: list[Item] = []
    outputs: list[Item] = []
    called: set[str] = set()
    waiting: set[str] = set()
    dropped: set[tuple[str, str]] = set()
    for item in items:
        kind = item.get("type", "message")
        if kind in _OUTPUTS:
            output = (kind, item["call_id"])
            if output in dropped:
                dropped.remove(output)
                continue
            outputs.append(item)
            waiting.discard(item["call_id"])
            continue
        asked = kind == "message" and item.get("role") != "assistant"
        if not waiting and (outputs or asked):
            ordered += [*_answer(answer), *outputs]
            answer, outputs, called = [], [], set()
        if asked and not waiting:
            ordered.append(item)
            continue
        if kind in _OUTPUT_OF:
            if item["call_id"] in called:
                dropped.add((_OUTPUT_OF[kind], item["call_id"]))
                continue
            called.add(item["call_id"])
            waiting.add(item["call_id"])
        answer.append(item)
    return [*ordered, *_answer(answer), *outputs]


def _answer(items: list[Item]) -> list[Item]:
    kinds = [item.get("type", "message") for item in items]
    calls = [item for item, kind in zip(items, kinds, strict=True) if kind in _OUTPUT_OF]
    words = [item for item, kind in zip(items, kinds, strict=True) if kind == "message"]
    if not calls:
        return [_untyped(item) for item in words]
    thoughts = [item for item, kind in zip(items, kinds, strict=True) if kind == "reasoning"]
    return [*thoughts, *words, *calls]


def _untyped(item: Item) -> Item:
    if item.get("id") != PLACEHOLDER_ID:
        return item
    plain = {key: value for key, value in item.items() if key not in ("id", "type")}
    return {**plain, "content": _plain(item.get("content"))}
