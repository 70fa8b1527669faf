"""What became of a turn of an agent that somebody brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parley.events.log import TurnEvent
from parley.repository.transcript import TurnView
from parley_testing.workbench import Workbench


@dataclass(frozen=True)
class Carried:
    """A turn that was carried to its end.

    Attributes:
        bench: Where.
        view: How it ended.
        events: What was told of it.
        followed: Whether anything was.
    """

    bench: Workbench
    view: TurnView
    events: list[TurnEvent]
    followed: bool

    @property
    def reply(self) -> str | None:
        return self.view.reply.content if self.view.reply is not None else None

    @property
    def code(self) -> str | None:
        return self.view.turn.error_code

    @property
    def detail(self) -> str:
        return self.view.turn.error_detail or ""

    def outputs(self, place: int = -1) -> dict[str, Any]:
        """What the model was told of its calls when it was asked, by call id."""
        items = self.bench.model.asked[place].input
        return {item["call_id"]: item["output"] for item in items if "output" in item}

    def told(self, kind: str) -> list[Any]:
        """The data of the events of a type."""
        return [event.data for event in self.events if event.type == kind]
