"""Sessions that are due: deleted whole, or made to forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from parley.cleanup.outbox import settle
from parley.cleanup.report import Batch, Counted, Doomed, Failure
from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore, Held
from parley.observability import logger, traced
from parley.repository.database import QUERY_CANCELED, Database
from parley.repository.deletion import by_rows
from parley.repository.paging import Moment, decode, encode
from parley.repository.retention import (
    Ages,
    Due,
    Kind,
    Which,
    delete_due,
    find_due,
    release_memory,
)

SESSIONS_A_PAGE = 100
_AT_ONCE = 8
"""Calls to the store at a time: each waits on the network for most of its time."""

_PLACE: TypeAdapter[tuple[Moment, UUID]] = TypeAdapter(tuple[Moment, UUID])


@dataclass(frozen=True, slots=True)
class DueSessions:
    """One kind of work on sessions, a page at a time. Methods block."""

    kind: Kind
    database: Database
    store: AgentSessionStore
    ages: Ages
    which: Which

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Do the next page, or see what it would be.

        Raises:
            InvalidField: The place is not one of this work's.
            StoreUnavailable: Postgres cannot serve now, or the store served nothing of the page.
                What was taken from Postgres is left to the outbox.
        """
        after = None if place is None else decode(place, _PLACE)
        due = find_due(
            self.database, self.kind, self.ages, self.which, after=after, limit=SESSIONS_A_PAGE
        )
        last = due[-1] if len(due) == SESSIONS_A_PAGE else None
        following = None if last is None else encode([last.last_activity_at, last.id])
        return self._see(due, following) if dry_run else self._take(due, following)

    def _see(self, due: Sequence[Due], following: str | None) -> Batch:
        held, failures = self._in_store(due, self._weigh)
        doomed = [
            Doomed(
                self.kind,
                each.id,
                each.user_id,
                each.name,
                each.last_activity_at,
                each.rows,
                held[each.id].turns,
                held[each.id].bytes,
            )
            for each in due
            if each.id in held
        ]
        return Batch(_counted(due, held, failures), following, failures, doomed)

    def _take(self, due: Sequence[Due], following: str | None) -> Batch:
        taken, failures = self._in_postgres(due)
        held, left = self._in_store(taken, self._remove)
        settle(self.database, [each.conversation for each in taken if each.id in held])
        return Batch(_counted(taken, held, failures + left), following, failures + left)

    def _in_postgres(self, due: Sequence[Due]) -> tuple[list[Due], list[Failure]]:
        taken: list[Due] = []
        failures: list[Failure] = []
        for few in by_rows(due):
            try:
                ids = self._claim(few)
            except Exception as error:
                if isinstance(error, StoreUnavailable) and error.reason != QUERY_CANCELED:
                    raise  # the rest would only wait for the same
                if len(few) == 1:
                    failures.append(self._failed(few[0], error))
                    continue
                # One of them cannot go: the others can.
                for each in few:
                    more, failed = self._in_postgres([each])
                    taken += more
                    failures += failed
                continue
            taken += [each for each in few if each.id in ids]
        return taken, failures

    def _claim(self, due: Sequence[Due]) -> set[UUID]:
        if self.kind == "memory":
            return release_memory(self.database, due)
        return delete_due(self.database, self.kind, due)

    def _in_store(
        self, due: Sequence[Due], act: Callable[[Due], Held]
    ) -> tuple[dict[UUID, Held], list[Failure]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = list(zip(due, pool.map(_caught(act), due), strict=True))
        held = {each.id: came for each, came in outcomes if isinstance(came, Held)}
        failed = [(each, came) for each, came in outcomes if isinstance(came, Exception)]
        if len(failed) > 1 and not held:
            for _, error in failed:
                if isinstance(error, StoreUnavailable):
                    raise error  # the rest would only wait for the same
        failures = [self._failed(each, error) for each, error in failed]
        return held, failures

    def _weigh(self, due: Due) -> Held:
        before = due.next_number if self.kind == "memory" else None
        return self.store.weigh(due.conversation, before=before)

    def _remove(self, due: Due) -> Held:
        if self.kind == "memory":
            return self.store.forget_before(due.conversation, due.next_number)
        return self.store.forget(due.conversation)

    def _failed(self, due: Due, error: Exception) -> Failure:
        logger().error(
            "a session could not be cleaned up",
            kind=self.kind,
            session_id=str(due.id),
            **traced(error),
        )
        return Failure(self.kind, str(due.id), _reason(error))


def _caught(act: Callable[[Due], Held]) -> Callable[[Due], Held | Exception]:
    """Give an error back instead of raising it, since it must not stop the others."""

    def tried(due: Due) -> Held | Exception:
        try:
            return act(due)
        except Exception as error:
            return error

    return tried


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, StoreUnavailable) else type(error).__name__


def _counted(due: Sequence[Due], held: dict[UUID, Held], failures: Sequence[Failure]) -> Counted:
    sums = sum(held.values(), Held())
    rows = sum(each.rows for each in due)
    return Counted(len(due), rows, sums.turns, sums.bytes, len(failures))
