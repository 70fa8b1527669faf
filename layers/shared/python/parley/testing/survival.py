"""Kills a turn's process at its points, and compares what comes of it with an undisturbed run."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from parley.testing.database import TestDatabase
from parley.testing.parts import Sending, parts_of
from parley.testing.processes import TOOL_BEGINS, Point, fork, places_to_kill, wait
from parley.testing.recording import Recording
from parley.testing.report import Finding, Report
from parley.testing.result import Result
from parley.testing.script import ScriptEnded
from parley.testing.turn import Turn

T = TypeVar("T")

_MADE_UP = re.compile(
    r"call_[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?"
)
_AT_ONCE = 2 * (os.cpu_count() or 1)
_COMMITTED = "after the commit of "


@dataclass(frozen=True)
class World:
    """Where one run happens: copies of the stores, and a folder for what is recorded."""

    url: str
    memory: Path
    folder: Path


@dataclass(frozen=True)
class _Outcome:
    result: Result
    effects: dict[str, Counter[str]]
    begun: Counter[str]
    asked: Counter[str]
    passed: list[str]
    killed: bool


@dataclass
class Survival:
    """One turn, to be killed at all its points."""

    turn: Turn
    sending: Sending
    new_world: Callable[[], World]
    drop: Callable[[World], None]
    recording: Recording
    core: frozenset[str]
    ledgers: Sequence[str]
    effects: Callable[[TestDatabase], Any] | None
    may_repeat: Collection[str]
    status: str
    _advice: dict[str, None] = field(default_factory=dict)

    def report(self) -> Report:
        """Run the turn whole, then kill it at each point.

        Raises:
            ValueError: `may_repeat` names what is not called.
        """
        (whole,) = self._played([None])
        if (came_to := whole.result).status != self.status:
            why = f" ({came_to.error}: {came_to.error_detail})" if came_to.error else ""
            sentence = f"Without a kill it is {came_to.status}{why}, not {self.status}."
            return Report(came_to, findings=[Finding("", sentence)])
        if not_called := sorted(set(self.may_repeat) - set(whole.begun)):
            raise ValueError(f"may_repeat: this turn does not call {', '.join(not_called)}")
        points: dict[bool, list[str]] = {True: [], False: []}
        findings: list[Finding] = []
        repeated = 0
        carried_on = _carried_on(whole)
        places = places_to_kill(whole.passed, self.ledgers)
        for point, killed in zip(map(_told, places), self._killed(places), strict=True):
            points[killed.killed].append(point)
            repeated += (killed.asked - whole.asked).total()
            findings += [
                Finding(point, sentence) for sentence in self._compared(whole, killed, carried_on)
            ]
        advice = list(self._advice)
        return Report(came_to, points[True], points[False], findings, advice, repeated)

    def _played(self, ends: Sequence[Point | None]) -> list[_Outcome]:
        """Run the turn in worlds of its own, at once, each killed at a point and carried on."""
        worlds: list[World] = []
        try:
            worlds += (self.new_world() for _ in ends)
            killed = self._processes(worlds, ends)
            broken = [world for world, at in zip(worlds, ends, strict=True) if at is not None]
            for world in broken:
                TestDatabase(world.url).execute(
                    "UPDATE turns SET lease_expires_at = now() - interval '1 second'"
                    " WHERE status = 'running'"
                )
            self._processes(broken, [None] * len(broken))
            return [
                self._in(world, partial(self._outcome, killed=each))
                for world, each in zip(worlds, killed, strict=True)
            ]
        finally:
            for world in worlds:
                self.drop(world)

    def _killed(self, points: Sequence[Point]) -> Iterator[_Outcome]:
        for place in range(0, len(points), _AT_ONCE):
            yield from self._played(points[place : place + _AT_ONCE])

    def _processes(self, worlds: Sequence[World], ends: Sequence[Point | None]) -> list[bool]:
        """Carry the turn out in a process for each world; return which were killed."""

        def begin(world: World, at: Point | None) -> int:
            return fork(partial(self._carry_out, world), self.recording, at)

        begun: list[int] = []
        try:
            for world, at in zip(worlds, ends, strict=True):
                begun.append(self._in(world, partial(begin, at=at)))
        finally:
            killed = wait(begun)
        for world in worlds:
            self._in(world, self._require_sound)
        return killed

    def _carry_out(self, world: World) -> None:
        with parts_of(world.url, world.memory, self.turn, self.recording) as parts:
            parts.carry_out(self.sending)

    def _require_sound(self, _: World) -> None:
        if wrong := self.recording.read("wrong"):
            raise ScriptEnded(wrong[0])
        if died := self.recording.read("died"):
            raise RuntimeError(f"A process that carried the turn out died by itself:\n{died[0]}")

    def _in(self, world: World, work: Callable[[World], T]) -> T:
        """Do something while ledgers and models write where one run is."""
        own, self.recording.folder = self.recording.folder, world.folder
        try:
            return work(world)
        finally:
            self.recording.folder = own

    def _outcome(self, world: World, *, killed: bool) -> _Outcome:
        database = TestDatabase(world.url)
        with (
            database.connected(),
            parts_of(world.url, world.memory, self.turn, self.recording) as parts,
        ):
            result = parts.result(self.sending, database)
            effects = self._effects(database)
        passed = self.recording.read("points")
        return _Outcome(
            result,
            effects,
            Counter(p.removeprefix(TOOL_BEGINS) for p in passed if p.startswith(TOOL_BEGINS)),
            Counter(asked.place for asked in result.asked),
            passed,
            killed,
        )

    def _effects(self, database: TestDatabase) -> dict[str, Counter[str]]:
        found: dict[str, Any] = {}
        if self.effects is not None:
            found["what `effects` returns"] = self.effects(database)
        else:
            for table in sorted(database.tables() - self.core):
                found[f"the table {table}"] = database.contents(table)
        for name in self.ledgers:
            found[f"the ledger {name}"] = self.recording.read(f"ledger-{name}")
        return {
            name: Counter(map(_shown, kept if isinstance(kept, list | tuple) else [kept]))
            for name, kept in found.items()
        }

    def _compared(
        self, whole: _Outcome, killed: _Outcome, carried_on: Collection[str]
    ) -> list[str]:
        said = []
        for name, times in (killed.begun - whole.begun).items():
            if name not in carried_on and name not in self.may_repeat:
                said.append(f"The tool {name} ran {times + whole.begun[name]} times.")
                self._advise(
                    f"{name} is a plain function tool: a process that dies after the tool's work"
                    " and before its output is recorded does the work again. Make it an"
                    " effect_tool that works on `effect.db`; give an effect elsewhere the turn's"
                    " and the call's id as its idempotency key. If it does no harm twice, say so:"
                    f' survives(turn, may_repeat=["{name}"]).'
                )
        for name, before in whole.effects.items():
            after = killed.effects[name]
            for row, times in (after - before).items():
                kind = "more often" if row in before else "but not without a kill"
                said.append(f"In {name} is {row}, {kind} ({times}).")
            for row in before - after:
                said.append(f"In {name} {row} is missing.")
            if after != before and name.startswith("the ledger "):
                self._advise(
                    "What a tool does elsewhere cannot be undone with its transaction: give the"
                    " service an idempotency key made of `effect.turn_id` and `effect.call_id`"
                    " (`Ledger.add(…, key=…)` stands for a service that takes one)."
                )
        for what in ("status", "reply", "error", "transcript", "approvals"):
            expected, found = getattr(whole.result, what), getattr(killed.result, what)
            if _shown(expected) != _shown(found):
                said.append(f"The {what}: {found!r} instead of {expected!r}.")
        if (calls := _calls(killed.result)) != (expected := _calls(whole.result)):
            said.append(f"The tool calls: {calls} instead of {expected}.")
        return said

    def _advise(self, sentence: str) -> None:
        self._advice[sentence] = None


def _told(point: Point) -> str:
    name, times = point
    return name if times == 1 else f"{name} (passing {times})"


def _carried_on(whole: _Outcome) -> set[str]:
    """Return the names of tools that may be begun twice without doing their work twice.

    Those that work in a transaction, and those that run agents, whose steps are recorded each.
    """
    around = {part for place in whole.asked for part in place.split("/")[:-1]}
    with_agents = {call.name for call in whole.result.tool_calls if call.call_id in around}
    return with_agents | {p.removeprefix(_COMMITTED) for p in whole.passed if _COMMITTED in p}


def _calls(result: Result) -> list[str]:
    """Return what was called; of several at once any may come first, and outputs may vary."""
    return sorted(f"{call.name}({_shown(call.arguments)})" for call in result.tool_calls)


def _shown(value: Any) -> str:
    """Return a value as text without ids and times, which differ each time."""
    return _MADE_UP.sub("…", json.dumps(value, sort_keys=True, default=str))
