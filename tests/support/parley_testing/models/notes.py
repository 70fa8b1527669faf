"""A model that keeps facts: what a summary is asked of, where a test wants to find them again."""

from __future__ import annotations

import re
from typing import Any

from parley.runner.summary_prompt import asked_in
from parley_testing.models.scripted import Answer, Asked, say
from parley_testing.workbench import SUMMARIES

_FACT = re.compile(r"\bfact-\w+")


def facts_in(text: str) -> list[str]:
    """Return the facts that a text tells, `fact-3` and the like, in their order and each once."""
    return list(dict.fromkeys(_FACT.findall(text)))


def question_of(asked: Asked) -> dict[str, Any]:
    """Read what a summary was asked with."""
    (item,) = asked.input
    read = asked_in(item["content"])
    assert read is not None, item
    assert asked.tools == [], "a summary is offered tools"
    return dict(read)


def keeping_facts(asked: Asked) -> Answer:
    """Answer with all facts of the notes so far and of the turns; "ok" to everything else."""
    if asked.model != SUMMARIES:
        return say("ok")
    asks = question_of(asked)
    told = [asks["notes"] or "", *(text for turn in asks["turns"] for text in turn.values())]
    return say("Known: " + " ".join(facts_in("\n".join(told))))
