"""Steps in which Postgres, or memory, is restored to an earlier moment, and the other is not.

Nothing runs while a store is restored (docs/restore.md), but turns are in any state, and attempts
that were replaced before wake up after it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from parley.ids import TurnKey
from parley.memory.store import StoredTurn
from parley_testing.schedules import notes, plans
from parley_testing.schedules.promises import Promises, left_by
from parley_testing.schedules.seen import SeenSession, see
from parley_testing.schedules.steps import Steps, always, taken
from parley_testing.stores.backups import MemoryBackup, PostgresBackup

# What the user goes on knowing of messages that the database has lost.
_NOT_RESTORED = frozenset(
    {"items", "seen", "sent", "order", "cleared", "gone", "erased", "late_calls"}
)


@dataclass
class Backup:
    """Both stores at one moment, and what was promised by then."""

    postgres: PostgresBackup
    memory: MemoryBackup
    promises: dict[str, Any]
    sessions: frozenset[Any]


class Restoring(Steps):
    """Backups, and what is restored of them."""

    backup: Backup | None = None

    @rule(restored=st.sampled_from(["", "", "", "postgres", "both", "memory"]))
    @always
    def back_up_or_restore(self, restored: str) -> None:
        # One rule: of two, a short run has many backups, and most often restores nothing.
        if restored and self.backup is not None:
            self._restore(restored, self.backup)
        else:
            self._back_up()

    def _back_up(self) -> None:
        self.step("backup")
        self.world.look()
        promises = self.promises
        self.backup = Backup(
            PostgresBackup(self.world.sql, self.world.user),
            MemoryBackup(self.world.memory, self.world.memory.with_suffix(".backup")),
            deepcopy(
                {
                    each.name: getattr(promises, each.name)
                    for each in fields(Promises)
                    if each.name not in _NOT_RESTORED
                }
            ),
            frozenset(promises.seen.sessions),
        )

    def _restore(self, what: str, backup: Backup) -> None:
        self.step(f"restore {what}")
        for reader in self.readers:
            self.world.readers.drop(reader)
        self.readers.clear()
        if what != "memory":
            self._restore_postgres(backup)
        if what != "postgres":
            backup.memory.restore()
            # What was deleted since is back until the next sweep.
            self.world.unswept |= self.actions.drained
        self._take_in()
        self.look()
        taken[f"restored: {what}"] += 1

    def _restore_postgres(self, backup: Backup) -> None:
        world, promises = self.world, self.promises
        lost = promises.seen.sessions.keys() - backup.sessions
        with world._looking:
            backup.postgres.restore(world.sql)
            for name, value in deepcopy(backup.promises).items():
                target = getattr(promises, name)
                target.clear()
                target.update(value)
            promises.seen = see(world.sql, world.user)
        promises.gone |= lost
        promises.gone -= backup.sessions
        self.actions.drained -= backup.sessions
        world.unswept |= lost

    def _take_in(self) -> None:
        """Take what memory holds now for what it holds by right, where Postgres vouches for it."""
        world, promises = self.world, self.promises
        world.restored = True
        there = {turn.id for s in promises.seen.sessions.values() for turn in s.turns}
        # An attempt whose number is given out again would have to be stopped before.
        world.held = [turn for turn in world.held if turn.id not in there]
        world.writers.event_writers.clear()
        world.logs.restored([t for s in promises.seen.sessions.values() for t in s.turns])
        for session in promises.seen.sessions.values():
            if session.open:
                world.unheard.add(session.id)
            stored = world.stored(session.id)
            self._take_in_summary(session, stored)
            for turn in session.turns:
                found = stored.get(TurnKey(turn.number, turn.id))
                place = session.id, turn.number
                promises.lost.discard(place)
                if found is None or found.attempt != turn.attempt or found.memory is None:
                    promises.lost.add(place)
                elif turn.over and plans.canonical(found.memory.items) != left_by(turn):
                    promises.lost.add(place)  # it had been lost, and rebuilt, before
                if not turn.over:  # what it had asked for may be lost, or be asked for again
                    promises.lost.discard(place)
                    promises.asked[turn.text] = -1000

    def _take_in_summary(self, session: SeenSession, stored: dict[TurnKey, StoredTurn]) -> None:
        if session.summary is None:
            return
        found, lost = stored.get(session.summary.turn), self.promises.lost_summaries
        lost.add(session.summary.turn_id)
        if found is None or found.attempt != session.summary.attempt or found.memory is None:
            return
        if notes.lines(found.memory.reply) == session.summarised:
            lost.discard(session.summary.turn_id)
