"""Turns that wait, the queue of their wake-ups, and workers that may be killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parley.timing import WORKER_MARGIN_SECONDS
from parley_testing.account.wake_queue import ReceivedWakeups, Record
from parley_testing.api.handlers import Context
from parley_testing.models.scripted import Script, ScriptedProvider
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup
from parley_testing.scenarios.turns import NEXT
from parley_testing.stores.talk import request
from parley_testing.waiting import HANG_SECONDS


class WorkerSetup:
    """Where one scenario's turns wait for workers.

    Attributes:
        queue: Their wake-ups.
        margin_seconds: What a worker keeps of its time to let go of a turn.
    """

    def __init__(
        self, setup: Setup, queue: ReceivedWakeups, worker: Any, model: ScriptedProvider
    ) -> None:
        """Have all that is needed.

        Args:
            setup: The scenario, and where its stores are.
            queue: The wake-ups.
            worker: The worker function, loaded in this process.
            model: The model that this one asks.
        """
        self.setup, self.queue = setup, queue
        self.margin_seconds: float = WORKER_MARGIN_SECONDS
        self._worker, self._model = worker, model

    def start_run(self, *next_texts: str) -> ScenarioRun:
        """Queue the scenario's turn and others behind it, and wake once."""
        played = self.setup.start_run()
        for text in (self.setup.scenario.text, *(next_texts or (NEXT,))):
            asked = request(played.user, str(played.session_id), text, key=text)
            assert played.parts.turns.begin(asked, queue=True, enqueue=True).outcome == "queued"
        self.queue.send(str(played.session_id))
        return played

    def start(
        self,
        played: ScenarioRun,
        at: Point | None = None,
        by: signal.Signals = signal.SIGKILL,
        *,
        seconds: float = HANG_SECONDS,
        tuned: Mapping[str, float] | None = None,
    ) -> tuple[Child, Record]:
        """Have a worker's process answer the only wake-up; it may end itself at a point."""
        (record,) = self.queue.receive()
        child = self.invoke(
            played,
            "worker",
            [{"Records": [record]}],
            at,
            by,
            seconds=seconds,
            tuned=dict(tuned or {}),
        )
        return child, record

    def invoke(
        self, played: ScenarioRun, function: str, events: Sequence[Any], *end: Any, **job: Any
    ) -> Child:
        """Have a function's process answer events."""
        job = {"seconds": HANG_SECONDS, "tuned": {}, **job}
        settings = self.queue.settings
        return played.fork(*end, function=function, events=events, settings=settings, **job)

    def answer(
        self, played: ScenarioRun, event: dict[str, Any], script: Script | None = None
    ) -> None:
        """Have this process's worker answer one wake-up."""
        self._model.script = script or played.parts.model.script
        self._worker.handler(event, Context())

    def deliver(self, played: ScenarioRun, script: Script | None = None) -> int:
        """Have this process's worker answer wake-ups until none is there, and count them."""
        return self.queue.deliver(lambda event: self.answer(played, event, script))


NewWorkerSetup = Callable[[str], WorkerSetup]
