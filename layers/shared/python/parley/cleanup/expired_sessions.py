"""Sessions that have expired: deleted whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from parley.cleanup.outbox import settle
from parley.cleanup.report import Batch, Counted, Failure, Listing
from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore, Held
from parley.observability import logger, traced
from parley.repository.database import QUERY_CANCELED, Database
from parley.repository.deletion import by_rows
from parley.repository.expired_sessions import (
    Ages,
    ExpiredSession,
    Kind,
    Scope,
    delete_expired,
    find_expired,
)
from parley.repository.paging import Moment, decode, encode

SESSIONS_A_PAGE = 100
_AT_ONCE = 8
"""Calls to the store at a time: each waits on the network for most of its time."""

_PLACE: TypeAdapter[tuple[Moment, UUID]] = TypeAdapter(tuple[Moment, UUID])


@dataclass(frozen=True, slots=True)
class ExpiredSessions:
    """One kind of work on sessions, a page at a time. Methods block."""

    kind: Kind
    database: Database
    store: AgentSessionStore
    ages: Ages
    scope: Scope

    def page(self, place: str | None, *, dry_run: bool) -> Batch:
        """Do the next page, or see what it would be.

        Raises:
            InvalidField: The place is not one of this work's.
            StoreUnavailable: Postgres cannot serve now, or the store served nothing of the page.
                What was taken from Postgres is left to the outbox.
        """
        after = None if place is None else decode(place, _PLACE)
        expired = find_expired(
            self.database, self.kind, self.ages, self.scope, after=after, limit=SESSIONS_A_PAGE
        )
        last = expired[-1] if len(expired) == SESSIONS_A_PAGE else None
        following = None if last is None else encode([last.last_activity_at, last.id])
        return self._see(expired, following) if dry_run else self._take(expired, following)

    def _see(self, expired: Sequence[ExpiredSession], following: str | None) -> Batch:
        held, failures = self._in_store(expired, self.store.weigh)
        listing = [
            Listing(
                self.kind,
                each.id,
                each.user_id,
                each.name,
                each.last_activity_at,
                each.rows,
                held[each.id].turns,
                held[each.id].bytes,
            )
            for each in expired
            if each.id in held
        ]
        return Batch(_counted(expired, held, failures), following, failures, listing)

    def _take(self, expired: Sequence[ExpiredSession], following: str | None) -> Batch:
        taken, failures = self._in_postgres(expired)
        held, left = self._in_store(taken, self.store.forget)
        settle(self.database, [each.conversation for each in taken if each.id in held])
        return Batch(_counted(taken, held, failures + left), following, failures + left)

    def _in_postgres(
        self, expired: Sequence[ExpiredSession]
    ) -> tuple[list[ExpiredSession], list[Failure]]:
        taken: list[ExpiredSession] = []
        failures: list[Failure] = []
        for few in by_rows(expired):
            try:
                ids = delete_expired(self.database, self.kind, few)
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

    def _in_store(
        self, expired: Sequence[ExpiredSession], act: Callable[[str], Held]
    ) -> tuple[dict[UUID, Held], list[Failure]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = list(zip(expired, pool.map(_caught(act), expired), strict=True))
        held = {each.id: came for each, came in outcomes if isinstance(came, Held)}
        failed = [(each, came) for each, came in outcomes if isinstance(came, Exception)]
        if len(failed) > 1 and not held:
            for _, error in failed:
                if isinstance(error, StoreUnavailable):
                    raise error  # the rest would only wait for the same
        failures = [self._failed(each, error) for each, error in failed]
        return held, failures

    def _failed(self, expired: ExpiredSession, error: Exception) -> Failure:
        logger().error(
            "a session could not be cleaned up",
            kind=self.kind,
            session_id=str(expired.id),
            **traced(error),
        )
        return Failure(self.kind, str(expired.id), _reason(error))


def _caught(act: Callable[[str], Held]) -> Callable[[ExpiredSession], Held | Exception]:
    """Return an error instead of raising it, since it must not stop the others."""

    def tried(expired: ExpiredSession) -> Held | Exception:
        try:
            return act(expired.conversation)
        except Exception as error:
            return error

    return tried


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, StoreUnavailable) else type(error).__name__


def _counted(
    expired: Sequence[ExpiredSession], held: dict[UUID, Held], failures: Sequence[Failure]
) -> Counted:
    sums = sum(held.values(), Held())
    rows = sum(each.rows for each in expired)
    return Counted(len(expired), rows, sums.turns, sums.bytes, len(failures))
