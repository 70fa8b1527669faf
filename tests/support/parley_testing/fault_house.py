"""Turns that wait, the queue of their doorbells, and workers that may be killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parley_testing.doorbells import DoorbellQueue, Record
from parley_testing.fault_scenarios import NEXT
from parley_testing.fault_stage import Play, Point, Stage
from parley_testing.fork_server import Child
from parley_testing.handlers import Context
from parley_testing.scripted_model import Script, ScriptedProvider
from parley_testing.talk import request


class House:
    """Where one scenario's turns wait for workers.

    Attributes:
        queue: Their doorbells.
        margin_seconds: What a worker keeps of its time to let go of a turn.
    """

    def __init__(
        self, stage: Stage, queue: DoorbellQueue, worker: Any, model: ScriptedProvider
    ) -> None:
        """Have all that is needed.

        Args:
            stage: The scenario, and where its stores are.
            queue: The doorbells.
            worker: The worker function, loaded in this process.
            model: The model that this one asks.
        """
        self.stage, self.queue = stage, queue
        self.margin_seconds: float = worker.MARGIN_SECONDS
        self._worker, self._model = worker, model

    def play(self, *next_texts: str) -> Play:
        """Queue the scenario's turn and others behind it, and ring once."""
        play = self.stage.play()
        for text in (self.stage.scenario.text, *(next_texts or (NEXT,))):
            asked = request(play.user, str(play.session_id), text, key=text)
            assert play.parts.turns.begin(asked, queue=True, enqueue=True).outcome == "queued"
        self.queue.send(str(play.session_id))
        return play

    def start(
        self,
        play: Play,
        at: Point | None = None,
        by: signal.Signals = signal.SIGKILL,
        *,
        seconds: float = 120,
        tuned: Mapping[str, float] | None = None,
    ) -> tuple[Child, Record]:
        """Have a worker's process answer the only doorbell; it may end itself at a point."""
        (record,) = self.queue.receive()
        child = self.invoke(
            play,
            "worker",
            [{"Records": [record]}],
            at,
            by,
            seconds=seconds,
            tuned=dict(tuned or {}),
        )
        return child, record

    def invoke(
        self, play: Play, function: str, events: Sequence[Any], *end: Any, **job: Any
    ) -> Child:
        """Have a function's process answer events."""
        job = {"seconds": 120, "tuned": {}, **job}
        settings = self.queue.settings
        return play.fork(*end, function=function, events=events, settings=settings, **job)

    def answer(self, play: Play, event: dict[str, Any], script: Script | None = None) -> None:
        """Have this process's worker answer one doorbell."""
        self._model.script = script or play.parts.model.script
        self._worker.handler(event, Context())

    def deliver(self, play: Play, script: Script | None = None) -> int:
        """Have this process's worker answer doorbells until none is there, and count them."""
        return self.queue.deliver(lambda event: self.answer(play, event, script))


NewHouse = Callable[[str], House]
