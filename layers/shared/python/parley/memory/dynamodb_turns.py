"""Turns in the DynamoDB table: a header each, and its chunks kept in step with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from parley.errors import StoreRefused
from parley.ids import TurnKey
from parley.memory import dynamodb_header as header
from parley.memory.codec import pack, pack_memory
from parley.memory.dynamodb_chunks import CHUNK_BYTES, Chunked, Chunks, new_write
from parley.memory.dynamodb_errors import ConditionFailed, is_invalid
from parley.memory.dynamodb_table import Attributes, DynamoDbTable, key
from parley.memory.expiry import TimeToLive
from parley.memory.store import NO_TURN, StoredTurn, TurnMemory
from parley.memory.versions import readable_memory, readable_record

_RECORD_BYTES = 32_000  # every write pays for the whole header, so long records stand outside it
_MINE_AND_OPEN = "attribute_not_exists(#conversation) OR (#attempt = :attempt AND #state = :open)"


class DynamoDbTurns:
    """Reads headers with their payloads, and writes them on a condition.

    The client library repeats a call whose answer was lost, so each write may meet its own first
    try: it must not take that for another's, nor remove the chunks that it wrote itself.
    """

    def __init__(self, table: DynamoDbTable, life: TimeToLive) -> None:
        self._table = table
        self._life = life
        self._chunks = Chunks(table)

    def stored(self, conversation: str, turns: Sequence[Attributes]) -> Iterator[StoredTurn]:
        """Fetch the chunks that finished headers name, then decode one after the other."""
        keyed = [(header.turn_of(turn), turn) for turn in turns]
        named = [header.chunked_of(whose.number, turn) for whose, turn in keyed]
        fetched = self._chunks.fetch(conversation, filter(None, named))
        for whose, turn in keyed:
            yield StoredTurn(
                whose,
                header.attempt_of(turn),
                readable_memory(header.version_of(turn), _payload(whose.number, turn, fetched)),
                whose.id != NO_TURN and self._life.ends_soon(header.expiry_of(turn)),
            )

    def records(self, conversation: str, turn: Attributes) -> dict[str, dict[str, Any]]:
        """Decode an open header's records, fetching the chunks that they name.

        Raises:
            Unreadable: One of them cannot be read.
        """
        number = header.number_of(turn)
        fetched = self._chunks.fetch(conversation, header.all_chunked(number, turn))
        return {
            position: readable_record(header.version_of(record), _payload(number, record, fetched))
            for position, record in header.records_of(turn)
        }

    def set_record(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        position: str,
        response: dict[str, Any],
    ) -> None:
        """Set an open header's record, creating the header if there is none.

        Raises:
            ConditionFailed: The turn is finished or another attempt's.
        """
        payload = pack(response)
        if len(payload) <= _RECORD_BYTES:
            try:
                return self._set_record(conversation, turn, attempt, position, payload)
            except StoreRefused as error:
                # The header may be full, which DynamoDB tells by no code of its own. If it was
                # anything else, the second write fails of it too.
                if not is_invalid(error):
                    raise
        chunked = self._chunks.write(
            conversation, turn.number, new_write(), payload, self._life.of_open()
        )
        self._set_record(conversation, turn, attempt, position, chunked)

    def _set_record(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        position: str,
        payload: bytes | Chunked,
    ) -> None:
        written = {payload} if isinstance(payload, Chunked) else set()
        try:
            replaced = self._table.update(
                key(conversation, header.part(turn)),
                "SET #record = :record, #attempt = :attempt, #state = :open, #updated_at = :now,"
                " #expires_at = :expires_at",
                _MINE_AND_OPEN,
                {
                    ":record": {"M": header.carrying(payload)},
                    ":attempt": {"N": str(attempt)},
                    ":open": header.OPEN,
                    ":now": header.now(),
                    ":expires_at": {"N": str(self._life.of_open())},
                },
                returns="UPDATED_OLD",
                names={"#record": header.record_name(position)},
            )
        except ConditionFailed as failure:
            # A first try may have got through and been claimed since: its chunks are in use.
            named = header.all_chunked(turn.number, failure.old) if failure.old else []
            self._chunks.remove(conversation, written.difference(named))
            raise
        self._chunks.remove(conversation, set(header.all_chunked(turn.number, replaced)) - written)

    def put(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        memory: TurnMemory,
        condition: str,
        values: Attributes,
        expires_at: int | None,
    ) -> Attributes:
        """Write a finished header and return it.

        It replaces the old header whole, which drops the records without having to name them.

        Raises:
            ConditionFailed: The condition does not hold, and this write is not why.
        """
        item = self._finished(conversation, turn, attempt, memory, expires_at)
        written = header.chunked_of(turn.number, item)
        try:
            replaced = self._table.put(item, condition, values)
        except ConditionFailed as failure:
            write = header.write_of(item)
            if failure.old is not None and header.write_of(failure.old) == write:
                return item
            if written is not None:
                self._chunks.remove(conversation, [written])
            raise
        litter = header.all_chunked(turn.number, replaced or {})
        self._chunks.remove(conversation, [chunked for chunked in litter if chunked != written])
        return item

    def put_back(self, conversation: str, turns: Sequence[StoredTurn]) -> None:
        """Write finished headers whatever stands in their place, many with each call.

        Chunks of what stood there expire by themselves.
        """
        expires_at = self._life.of_finished()
        self._table.put_all(
            self._finished(conversation, each.turn, each.attempt, each.memory, expires_at)
            for each in turns
            if each.memory is not None
        )

    def discard(self, conversation: str, turn: TurnKey, attempt: int) -> None:
        """Replace an open header by one without records.

        Raises:
            ConditionFailed: It is not there, finished or another attempt's.
        """
        item = header.discarded(conversation, turn, attempt, self._life.of_finished())
        values = {":attempt": {"N": str(attempt)}, ":open": header.OPEN}
        replaced = self._table.put(item, "#attempt = :attempt AND #state = :open", values)
        self._chunks.remove(conversation, header.all_chunked(turn.number, replaced or {}))

    def _finished(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        memory: TurnMemory,
        expires_at: int | None,
    ) -> Attributes:
        """Make a finished header with its payload, which is written first if it is large."""
        write, packed = new_write(), pack_memory(memory)
        payload: bytes | Chunked = packed
        if len(packed) > CHUNK_BYTES:
            payload = self._chunks.write(conversation, turn.number, write, packed, expires_at)
        item = header.finished(conversation, turn, attempt, write, memory, len(packed), expires_at)
        return item | header.carrying(payload)

    def replace(self, conversation: str, turn: Attributes, memory: TurnMemory) -> Attributes:
        """Write a finished header anew if it is still as it was read, and return it.

        Raises:
            ConditionFailed: It was changed or removed meanwhile.
        """
        whose, attempt = header.turn_of(turn), header.attempt_of(turn)
        condition, values = _unchanged(turn)
        expires_at = header.expiry_of(turn)
        return self.put(conversation, whose, attempt, memory, condition, values, expires_at)

    def remove(self, conversation: str, turn: Attributes) -> None:
        """Remove a finished turn if it is still as it was read.

        Raises:
            ConditionFailed: It was changed or removed meanwhile.
        """
        self._table.delete(key(conversation, turn["part"]["S"]), *_unchanged(turn))
        self._chunks.remove(conversation, header.all_chunked(header.number_of(turn), turn))


def _payload(number: int, executor: Attributes, fetched: dict[Chunked, bytes]) -> bytes | None:
    chunked = header.chunked_of(number, executor)
    return header.payload_of(executor) if chunked is None else fetched.get(chunked)


def _unchanged(turn: Attributes) -> tuple[str, Attributes]:
    values = {":attempt": turn["attempt"]}
    if (write := header.write_of(turn)) is None:
        return "#attempt = :attempt AND attribute_not_exists(#write)", values
    return "#attempt = :attempt AND #write = :write", values | {":write": {"S": write}}
