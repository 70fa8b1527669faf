"""The event log in the DynamoDB table of memory: one item a chunk, put with one conditional call.

The chunks of a conversation stand in its partition, between those of large turns and the turns.
Memory's queries do not come past them; only `forget` takes them along.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from parley.events.chunks import HIGHEST, Chunk, ensure_same, pack_chunk, unpack_chunks
from parley.events.log import PlaceTaken, TurnEvent
from parley.ids import TurnKey
from parley.memory.dynamodb_errors import ConditionFailed
from parley.memory.dynamodb_header import LOGS_FIRST
from parley.memory.dynamodb_table import Attributes, DynamoDbTable, key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# DynamoDB removes what has expired hours later, and until then it must stand in nobody's way.
_FREE = "attribute_not_exists(#conversation) OR #expires_at <= :now"
_ATTRIBUTES = ("part", "count", "writer", "version", "expires_at", "payload")
_NEWEST = 4  # what is written between two looks; pieces of text are small, so one read unit


class DynamoDbEventLog:
    """An `EventLog` in the table of the agent-session store.

    Args:
        client: A low-level client; its own retries and timeouts apply.
        table: A table with the partition key `conversation` and the sort key `part`, both strings,
            and `expires_at` as its time-to-live attribute.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = DynamoDbTable(client, table)

    def append(
        self, conversation: str, turn: TurnKey, writer: str, events: Sequence[TurnEvent]
    ) -> None:
        chunk = pack_chunk(writer, events)
        item = key(conversation, _part(turn, chunk.first)) | {
            "count": {"N": str(chunk.count)},
            "writer": {"S": chunk.writer},
            "version": {"N": str(chunk.version)},
            "expires_at": {"N": str(chunk.expires_at)},
            "payload": {"B": chunk.payload},
        }
        try:
            self._table.put(item, _FREE, {":now": {"N": str(int(time.time()))}})
        except ConditionFailed as failure:
            match failure.old:
                case {"writer": {"S": str(standing)}, "payload": {"B": bytes(payload)}}:
                    ensure_same(chunk, standing, payload)
                case _:
                    raise PlaceTaken(chunk.first) from None

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> list[TurnEvent]:
        if limit is not None and limit < 1:
            return []
        after = min(max(after, 0), HIGHEST)
        chunks = self._at_the_end(conversation, turn, after)
        if chunks is None:
            chunks = self._from_the_middle(conversation, turn, after, limit)
        return unpack_chunks(conversation, turn.number, chunks[:limit], after)

    def remove(self, conversation: str, turn: TurnKey) -> None:
        pages = self._table.pages(
            conversation,
            _part(turn, 0),
            _part(turn, HIGHEST),
            attributes=["part"],
            newest_first=True,  # what is left of a removal that failed is then the log's beginning
            consistent=True,
        )
        for page in pages:
            self._table.delete_all(key(conversation, item["part"]["S"]) for item in page)

    def _at_the_end(self, conversation: str, turn: TurnKey, after: int) -> list[Chunk] | None:
        """Read what comes after a number; None if that is more than a few chunks.

        Chunks are named by their first event, and `after` may be in the middle of one. From the
        log's end backwards one call finds out what is new, and just as well that nothing is.
        """
        if after == 0:
            return None
        newest = next(
            self._table.pages(
                conversation,
                _part(turn, 0),
                _part(turn, HIGHEST),
                attributes=_ATTRIBUTES,
                newest_first=True,
                consistent=True,
                limit=_NEWEST,
            )
        )
        if newest and _first(newest[-1]) > after + 1:
            return None
        return _chunks(reversed(newest), after)

    def _from_the_middle(
        self, conversation: str, turn: TurnKey, after: int, limit: int | None
    ) -> list[Chunk]:
        chunks: list[Chunk] = []
        for page in self._table.pages(
            conversation,
            self._start(conversation, turn, after),
            _part(turn, HIGHEST),
            attributes=_ATTRIBUTES,
            consistent=True,
            limit=limit,
        ):
            chunks += _chunks(page, after)
            if limit is not None and len(chunks) >= limit:
                break
        return chunks

    def _start(self, conversation: str, turn: TurnKey, after: int) -> str:
        """Find the chunk that holds the event after a number, and give its sort key."""
        beginning = _part(turn, 0)
        if after == 0:
            return beginning
        nearest = next(
            self._table.pages(
                conversation,
                beginning,
                _part(turn, after + 1),
                attributes=["part"],
                newest_first=True,
                consistent=True,
                limit=1,
            )
        )
        return nearest[0]["part"]["S"] if nearest else beginning


def _part(turn: TurnKey, first: int) -> str:
    return f"{LOGS_FIRST}{turn.number:010}#{turn.id}#{min(first, HIGHEST):010}"


def _first(item: Attributes) -> int:
    return int(item["part"]["S"].rpartition("#")[2])


def _chunks(items: Iterable[Attributes], after: int) -> list[Chunk]:
    now = time.time()
    found = [
        Chunk(
            first=_first(item),
            count=int(item["count"]["N"]),
            writer=item["writer"]["S"],
            version=int(item["version"]["N"]),
            expires_at=int(item["expires_at"]["N"]),
            payload=item["payload"]["B"],
        )
        for item in items
    ]
    return [chunk for chunk in found if chunk.holds_after(after, now)]
