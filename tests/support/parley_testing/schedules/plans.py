"""What the user's words ask for, and what memory is to hold of it: all follows from the text.

A text is a tag and the rounds of calls that it asks for, a letter each: `m7 aa r` has two tasks
added at once and then the dice rolled; `m7 a !` has the model fail after one task was added.

`a` adds a task, `b` adds one and refuses to twice, `r` rolls the dice, `p` pays, which somebody has
to approve, `h` hands over to another agent. `s`, `S`, `x` and `P` use an agent as a tool: it is
sent a text of the same kind, whose tag names the place of the call. With a `'` before a round the
model says something before it calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from parley_testing.run.at_length import AT_LENGTH

PAYING = ("p", "ap 'a", "pp", "p p", "P", "aP p", "h p", "'p !")
"""What a message may ask for that waits to be approved."""

PLANS = (
    *("", "a", "aa", "r", "b", "aa a", "a r b", "a !", "r !", "!"),
    *("s", "ss", "S b", "x", "ax s", "h a", "ah s", "s h !"),
    *("'a", "'r 'b", "'as 'r !"),
    *(PAYING if AT_LENGTH else ()),
)  # fmt: skip
"""What a message may ask for; payments, which wait to be approved, only at length."""

HELP = {"s": "a", "S": "ab r", "x": "a !", "P": "ap"}
"""What an agent that is used as a tool is asked for in turn, by letter."""

NAMES = {
    "a": "add_task",
    "b": "book",
    "r": "roll",
    "p": "pay",
    "h": "transfer_to_closer",
} | dict.fromkeys(HELP, "ask_helper")
"""The tool that a letter calls."""

NOT_MADE = "This call was not made: "
"""What the model is told of a call begins so, if nobody has approved it."""

Call = tuple[str, str]
"""A tool's name, and what it was told."""

Outputs = Mapping[Call, Sequence[str]]
"""What tools answered, of equal calls in order."""

Canonical = tuple[str, ...]


def rounds(text: str) -> list[str]:
    """Return the rounds of calls that a text asks for."""
    return [word.lstrip("'") for word in _words(text)]


def spoken(text: str, number: int) -> str | None:
    """Return what the model says before it makes a round's calls, if anything."""
    if not _words(text)[number].startswith("'"):
        return None
    return f"round {number} of {text.split()[0]}"


def fails(text: str) -> bool:
    """Whether the model fails in the end."""
    return text.endswith("!")


def is_reply(text: str, said: str) -> bool:
    """Whether this answers a text: a model does not say the same twice."""
    return re.fullmatch(rf"answer \d+ to {re.escape(text.split()[0])}", said) is not None


def asked_of(text: str, number: int) -> str:
    """Name the model that is asked for a round of a text, by its place."""
    if "/" in text.split()[0]:
        return "helper"
    return "closer" if any("h" in letters for letters in rounds(text)[:number]) else "default"


def calls(text: str) -> list[list[Call]]:
    """Return the calls of each round."""
    return [
        [_call(letter, f"{text.split()[0]}/{number}.{place}") for place, letter in enumerate(round)]
        for number, round in enumerate(rounds(text))
    ]


def all_texts(text: str) -> Iterator[str]:
    """Yield a text and those that agents used as tools are sent because of it."""
    yield text
    for name, told in (call for round in calls(text) for call in round):
        if name == "ask_helper":
            yield from all_texts(told)


def all_recorded(text: str) -> list[Call]:
    """Return the calls whose outputs are recorded by the end, in any order."""
    made = [call for each in all_texts(text) for round in calls(each) for call in round]
    return [call for call in made if call[0] != NAMES["h"]]


def _words(text: str) -> list[str]:
    return [word for word in text.split()[1:] if word != "!"]


def _call(letter: str, tag: str) -> Call:
    told = {"r": "", "h": ""} | {helped: f"{tag} {plan}" for helped, plan in HELP.items()}
    return NAMES[letter], told.get(letter, tag)


def told_rounds(text: str, outputs: Outputs) -> list[Canonical]:
    """Return what memory holds of the rounds of a text."""
    items: list[Canonical] = []
    left = {call: list(given) for call, given in outputs.items()}
    for number, round in enumerate(calls(text)):
        if (said := spoken(text, number)) is not None:
            items.append(("assistant", said))
        items += [("call", *call) for call in round]
        # The SDK hands over when all tools of the round have answered.
        in_order = sorted(round, key=lambda call: call[0] == NAMES["h"])
        items += [("output", _output(call, left)) for call in in_order]
    return _paid_anywhere(items)


def _paid_anywhere(items: list[Canonical]) -> list[Canonical]:
    """Put the outputs of each round with a payment in one order.

    The model is told of what was paid behind what needed no approval, wherever it was called.
    """
    found: list[Canonical] = []
    for is_output, some in groupby(items, key=lambda item: item[0] == "output"):
        run = list(some)
        paid = is_output and any(item[1].startswith(("paid ", NOT_MADE)) for item in run)
        found += sorted(run) if paid else run
    return found


def _output(call: Call, left: Mapping[Call, list[str]]) -> str:
    name, told = call
    if name == "add_task":
        return told
    if name == NAMES["h"]:
        return '{"assistant": "closer"}'
    return left[call].pop(0) if left.get(call) else "?"


def right_output(call: Call, output: str) -> bool:
    """Whether a tool may have answered this."""
    name, told = call
    match name:
        case "add_task":
            return shown(output) == told
        case "book":
            return output == f"booked {told}"
        case "pay":
            return output == f"paid {told}" or output.startswith(NOT_MADE)
        case "ask_helper" if fails(told):
            return output.startswith("An error occurred")
        case "ask_helper":
            return is_reply(told, output)
        case _:
            return output.startswith("rolled ")


def canonical(items: Iterable[Mapping[str, Any]]) -> list[Canonical]:
    """Reduce the SDK's items to what they say: ids differ from run to run."""
    said = [_canonical(item) for item in items if item.get("type") != "reasoning"]
    return _paid_anywhere(said)


def _canonical(item: Mapping[str, Any]) -> Canonical:
    kind = item.get("type", "message")
    if kind == "function_call":
        return "call", item["name"], told(item["arguments"])
    if kind == "function_call_output":
        return "output", shown(item["output"])
    content = item["content"]
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    return item["role"], content


def told(arguments: str) -> str:
    """Return what a tool was told, from the arguments of its call."""
    given = json.loads(arguments)
    return str(given.get("title", given.get("input", "")))


def shown(output: Any) -> str:
    """Return what an output says: of a task, its title."""
    task = json.loads(output) if isinstance(output, str) and output.startswith("{") else {}
    return str(task.get("title", output))
