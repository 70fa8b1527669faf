"""The agent-session store in a DynamoDB table: one item a turn, each write one conditional call."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import TypeAdapter

from parley.errors import Fenced, StoreRefused, StoreUnavailable
from parley.ids import SUMMARY_NUMBER, TurnKey
from parley.memory import dynamodb_header as header
from parley.memory.bounded import up_to
from parley.memory.dynamodb_chunks import CHUNKS_FIRST, chunks_below
from parley.memory.dynamodb_errors import ConditionFailed, is_invalid
from parley.memory.dynamodb_table import Attributes, DynamoDbTable, key
from parley.memory.dynamodb_turns import DynamoDbTurns
from parley.memory.expiry import A_WEEK, TimeToLive
from parley.memory.store import (
    NO_TURN,
    ClaimedTurn,
    Conversations,
    Held,
    Item,
    MemoryStatistics,
    StoredTurn,
    StoreSize,
    TurnMemory,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_APPENDS = 100
_APPEND_PAUSE_SECONDS = 0.02
_READ_AT_ONCE = 20
"""Turns that are fetched with one call by their keys; each may carry 350 KB, compressed."""

_NEW = "attribute_not_exists(#conversation)"
_MINE = f"{_NEW} OR #attempt = :attempt"
_NOT_LATER = f"{_NEW} OR #attempt <= :attempt"
_IS_DONE = "#state = :done"
_DONE: tuple[str, Attributes] = (_IS_DONE, {":done": header.DONE})
_ALIVE = f"{_IS_DONE} AND (attribute_not_exists(#expires_at) OR #expires_at > :now)"

_KEY = ("conversation", "part")
_PLACE: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[str, str])

_log = logging.getLogger(__name__)


class DynamoDbStore:
    """An `AgentSessionStore` in one table, beside any other writers of the same table.

    Args:
        client: A low-level client; its own retries and timeouts apply.
        table: A table with the partition key `conversation` and the sort key `part`, both strings,
            and `expires_at` as its time-to-live attribute.
        life: How long memory lives.
    """

    def __init__(self, client: DynamoDBClient, table: str, life: TimeToLive = A_WEEK) -> None:
        self._table = DynamoDbTable(client, table)
        self._life = life
        self._turns = DynamoDbTurns(self._table, life)

    def read_newest(
        self,
        conversation: str,
        turns: int | None,
        *,
        before: int | None = None,
        consistent: bool = False,
        max_bytes: int | None = None,
    ) -> list[StoredTurn]:
        if (turns is not None and turns < 1) or (before is not None and before <= 1):
            return []
        pages = self._table.pages(
            conversation,
            header.TURNS_FIRST,
            header.LAST if before is None else header.highest(before - 1),
            attributes=[*header.FINISHED_ATTRIBUTES, "bytes"],
            only=_DONE,
            newest_first=True,
            consistent=consistent,
            # One more, so that the open turn at the end does not take a second call.
            limit=None if turns is None else turns + 1,
        )
        # Pages and chunks are fetched as long as they are asked for.
        return list(up_to(self._alive(conversation, pages, turns, max_bytes), max_bytes))

    def _alive(
        self,
        conversation: str,
        pages: Iterable[list[Attributes]],
        turns: int | None,
        max_bytes: int | None,
    ) -> Iterator[StoredTurn]:
        """Decode at most so many turns that have not expired."""
        seen = given = 0
        for page in pages:
            # Behind a turn that has expired there is hardly one that has not, so it counts: nobody
            # should read on through all that DynamoDB has yet to remove.
            seen += len(page)
            alive = list(filter(header.is_alive, page))
            if turns is not None:
                alive = alive[: turns - given]
            for turn in self._turns.stored(conversation, _needed(alive, max_bytes)):
                given += 1
                yield turn
            if turns is not None and seen >= turns and given:
                return

    def read(
        self, conversation: str, turns: Sequence[TurnKey], *, max_bytes: int | None = None
    ) -> list[StoredTurn]:
        newest_first = sorted({header.part(turn) for turn in turns}, reverse=True)
        keys = [key(conversation, part) for part in newest_first]
        done: list[Attributes] = []
        # So many at a time: none is fetched behind what comes to more than is wanted.
        for begun in range(0, len(keys), _READ_AT_ONCE):
            if max_bytes is not None and sum(map(_counted, done)) > max_bytes:
                break
            batch = keys[begun : begun + _READ_AT_ONCE]
            found = self._table.get_all(batch, [*header.FINISHED_ATTRIBUTES, "bytes"])
            done += (each for each in found if header.is_done(each) and header.is_alive(each))
        done.sort(key=header.number_of, reverse=True)
        needed = _needed(done, max_bytes)
        return list(up_to(self._turns.stored(conversation, needed), max_bytes))

    def claim(self, conversation: str, turn: TurnKey, attempt: int) -> ClaimedTurn:
        try:
            claimed = self._table.update(
                key(conversation, header.part(turn)),
                "SET #attempt = :attempt, #state = if_not_exists(#state, :open),"
                " #updated_at = if_not_exists(#updated_at, :now),"
                " #expires_at = if_not_exists(#expires_at, :expires_at)",
                _NOT_LATER,
                {
                    ":attempt": {"N": str(attempt)},
                    ":open": header.OPEN,
                    ":now": header.now(),
                    ":expires_at": {"N": str(self._life.of_open())},
                },
                returns="ALL_NEW",
            )
        except ConditionFailed:
            raise Fenced(turn.number, attempt) from None
        if header.is_done(claimed):
            return ClaimedTurn(next(self._turns.stored(conversation, [claimed])), {})
        return ClaimedTurn(None, self._turns.records(conversation, claimed))

    def record(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        position: str,
        response: dict[str, Any],
    ) -> None:
        try:
            self._turns.set_record(conversation, turn, attempt, position, response)
        except ConditionFailed:
            raise Fenced(turn.number, attempt) from None

    def finish(self, conversation: str, turn: TurnKey, attempt: int, memory: TurnMemory) -> None:
        try:
            values = {":attempt": {"N": str(attempt)}}
            expires_at = self._life.of_finished()
            self._turns.put(conversation, turn, attempt, memory, _MINE, values, expires_at)
        except ConditionFailed:
            raise Fenced(turn.number, attempt) from None

    def write_back(self, conversation: str, turns: Sequence[StoredTurn]) -> None:
        self._turns.put_back(conversation, turns)

    def discard(self, conversation: str, turn: TurnKey, attempt: int) -> None:
        with suppress(ConditionFailed):
            self._turns.discard(conversation, turn, attempt)

    def append(self, conversation: str, memory: TurnMemory) -> int:
        for _ in range(_APPENDS):
            turn = TurnKey(self._newest_number(conversation) + 1, NO_TURN)
            try:
                self._turns.put(conversation, turn, 1, memory, _NEW, {}, None)
                return turn.number
            except ConditionFailed:
                time.sleep(random.uniform(0, _APPEND_PAUSE_SECONDS))
        raise StoreUnavailable("agent-session store", "too many writers at once")

    def _newest_number(self, conversation: str) -> int:
        newest = self._table.pages(
            conversation,
            header.TURNS_FIRST,
            header.LAST,
            attributes=["part"],
            newest_first=True,
            consistent=True,
            limit=1,
        )
        return next((header.number_of(item) for item in next(newest)), 0)

    def pop_item(self, conversation: str) -> Item | None:
        while turn := next(iter(self._newest_headers(conversation)), None):
            memory = next(self._turns.stored(conversation, [turn])).memory
            with suppress(ConditionFailed):  # it was changed meanwhile: look again
                if memory is None or not memory.items:
                    self._turns.remove(conversation, turn)
                    continue
                # Also when nothing is left of the turn: a repeated removal could not tell whether
                # the item was taken by its own first try or by somebody else.
                rest = replace(memory, items=memory.items[:-1])
                left = self._turns.replace(conversation, turn, rest)
                if not rest.items:
                    self._remove_empty(conversation, left)
                return memory.items[-1]
        return None

    def _remove_empty(self, conversation: str, turn: Attributes) -> None:
        try:
            self._turns.remove(conversation, turn)
        except (ConditionFailed, StoreUnavailable):
            # The item is taken already. Whoever pops next removes the empty turn.
            _log.info("left a turn without items")

    def _newest_headers(self, conversation: str) -> Iterable[Attributes]:
        for page in self._table.pages(
            conversation,
            header.TURNS_FIRST,
            header.LAST,
            attributes=header.FINISHED_ATTRIBUTES,
            only=_DONE,
            newest_first=True,
            consistent=True,
            limit=1,
        ):
            yield from page

    def forget_before(self, conversation: str, number: int) -> Held:
        if number <= 1:
            return Held()
        # Headers first: without its chunks a turn would read as damaged.
        held = self._sweep(conversation, header.TURNS_FIRST, header.highest(number - 1))
        self._sweep(conversation, CHUNKS_FIRST, chunks_below(number))
        return held

    def forget_summaries(self, conversation: str, *, keep: Collection[UUID] = ()) -> None:
        kept = {header.part(TurnKey(SUMMARY_NUMBER, each)) for each in keep}
        for page in self._extent(conversation, header.lowest(SUMMARY_NUMBER), header.LAST):
            parts = {item["part"]["S"] for item in page} - kept
            self._table.delete_all(key(conversation, part) for part in parts)

    def forget(self, conversation: str) -> Held:
        return self._sweep(conversation, header.FIRST, header.LAST)

    def weigh(self, conversation: str, *, before: int | None = None) -> Held:
        if before is not None and before <= 1:
            return Held()
        last = header.LAST if before is None else header.highest(before - 1)
        return sum(map(_held, self._extent(conversation, header.TURNS_FIRST, last)), Held())

    def _sweep(self, conversation: str, first: str, last: str) -> Held:
        held = Held()
        for page in self._extent(conversation, first, last):
            self._table.delete_all(key(conversation, item["part"]["S"]) for item in page)
            held += _held(page)
        return held

    def _extent(self, conversation: str, first: str, last: str) -> Iterator[list[Attributes]]:
        return self._table.pages(
            conversation,
            first,
            last,
            attributes=["part", "bytes"],
            newest_first=True,
            consistent=True,
        )

    def conversations(self, after: str | None, limit: int) -> Conversations:
        given, part = (None, None) if after is None else _PLACE.validate_json(after)
        begun = None if given is None or part is None else key(given, part)
        try:
            page, following = self._table.scan("conversation", begun, limit)
        except StoreRefused as error:
            if begun is None or not is_invalid(error):
                raise
            raise ValueError("not a key of the table's") from error
        # A page may end in the middle of a conversation, which the next one then begins with.
        keys = dict.fromkeys(item["conversation"]["S"] for item in page)
        keys.pop(given, None)
        last = None if following is None else json.dumps([following[n]["S"] for n in _KEY])
        return Conversations(list(keys), last)

    def statistics(self, conversation: str, *, since: int = 1) -> MemoryStatistics:
        pages = self._table.pages(
            conversation,
            header.lowest(since),
            header.highest(SUMMARY_NUMBER - 1),
            attributes=["items", "bytes", "updated_at"],
            only=(_ALIVE, {":done": header.DONE, ":now": {"N": str(int(time.time()))}}),
            newest_first=True,
        )
        turns = [item for page in pages for item in page]
        if not turns:
            return MemoryStatistics()
        return MemoryStatistics(
            turns=len(turns),
            items=sum(int(turn["items"]["N"]) for turn in turns),
            bytes=sum(int(turn["bytes"]["N"]) for turn in turns),
            last_activity_at=datetime.fromtimestamp(float(turns[0]["updated_at"]["N"]), UTC),
        )

    def expired(self) -> Held:
        return Held()

    def remove_expired(self, limit: int) -> Held:
        return Held()

    def size(self) -> StoreSize:
        return StoreSize(*self._table.size())


def _needed(turns: Sequence[Attributes], max_bytes: int | None) -> list[Attributes]:
    """Leave out turns, newest first, whose chunks a bound makes it needless to fetch.

    They are behind others that come to more already, compressed.
    """
    if max_bytes is None:
        return list(turns)
    before = accumulate(map(_counted, turns), initial=0)
    return [turn for turn, total in zip(turns, before, strict=False) if total <= max_bytes]


def _counted(turn: Attributes) -> int:
    # As `bounded.up_to` has it.
    return 0 if header.number_of(turn) == SUMMARY_NUMBER else int(turn["bytes"]["N"])


def _held(page: Sequence[Attributes]) -> Held:
    turns = [item for item in page if header.is_turn(item)]
    return Held(len(turns), sum(int(turn["bytes"]["N"]) for turn in turns if "bytes" in turn))
