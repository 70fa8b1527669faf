"""The agent-session store: one item a turn, keyed by conversation, turn number and turn id.

An item is `open` while its turn runs and holds the record (the model responses so far); once
`done` it holds the SDK's items. Every write names the attempt that makes it, and an attempt that
was replaced can write nothing any more (turn-protocol, section 4). Items of two turns that were
given the same number, one of them before Postgres was restored, know nothing of each other. A store
knows nothing of Postgres: which of its items may be believed is `parley.memory.window`'s business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from parley.ids import TurnKey

Item = dict[str, Any]
"""One of the SDK's items, a plain dictionary in the wire form of the Responses API."""

FORMAT_VERSION = 1
"""The format in which this code writes payloads. An item of another version reads as unreadable."""


SUMMARIES_KEPT = 3
"""How many of a conversation's summaries there are at most: the one that counts, the one before it
and the next one. As many more items are read than turns are wanted."""

NO_TURN = UUID(int=0)
"""The id of items that no turn protocol numbers: see `AgentSessionStore.append`."""


@dataclass(frozen=True, slots=True)
class TurnMemory:
    """What a finished turn leaves behind.

    Attributes:
        items: The SDK's items of the turn, oldest first: the user's message, then all that
            followed.
        reply: The reply's text, so that recovery can complete the turn without running it.
            None where the turn did not end in a reply (a note of a stopped turn).
        usage: Model calls, input and output tokens of all attempts.
        tool_calls: How many outputs of tools Postgres had recorded. If it has fewer, it was
            restored to a moment before them.
        decided: What was decided of the calls that needed approval, as `Journal.decided` has it.
        model_steps: What became of each model call, for who completes the turn.
        spent: What the calls of each model came to, as JSON, for who completes it.
    """

    items: list[Item]
    reply: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    tool_calls: int = 0
    model_steps: list[Any] = field(default_factory=list)
    spent: list[Any] = field(default_factory=list)
    decided: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A `done` item as the store gives it back.

    Attributes:
        turn: Whose it is.
        attempt: The attempt that finished it, or the later one that claimed it finished: what
            Postgres has to vouch for.
        memory: What the turn left, or None if the payload is unreadable (damaged, its chunks
            gone, or of an unknown format version).
        ends_soon: Whether it expires so soon that it is to be written anew if it is still needed.
    """

    turn: TurnKey
    attempt: int
    memory: TurnMemory | None
    ends_soon: bool = False

    @property
    def number(self) -> int:
        """The turn's number in its session."""
        return self.turn.number


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """What an attempt finds when it claims a turn.

    Attributes:
        done: What an earlier attempt left if it got as far as finishing; else None.
        records: The record by position, as `record` was given it. Empty when `done`.
    """

    done: StoredTurn | None
    records: Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """What the store holds of one conversation, counting finished turns only.

    Attributes:
        turns: Finished turns.
        items: The SDK's items in them.
        bytes: Their compressed size.
        last_activity_at: When the newest was written, or None if there is none.
    """

    turns: int = 0
    items: int = 0
    bytes: int = 0
    last_activity_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of something, or held of it until it was removed.

    Attributes:
        turns: Items: one a turn, open or finished, and one a summary.
        bytes: The compressed size of the finished ones.
    """

    turns: int = 0
    bytes: int = 0

    def __add__(self, other: Held) -> Held:
        """Return what both hold."""
        return Held(self.turns + other.turns, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Conversations:
    """Some of the conversations that the store has.

    Attributes:
        keys: Conversation keys, each once; there may be none although others follow.
        next: Where to go on; None at the end.
    """

    keys: Sequence[str]
    next: str | None


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How large the whole store is, by its own account.

    Attributes:
        items: What it counts as one: a turn each, and on DynamoDB also every chunk of a large one
            and of an event log.
        bytes: What it takes up.
    """

    items: int
    bytes: int


class AgentSessionStore(Protocol):
    """Where memory lives. Every method may raise `StoreUnavailable`.

    Methods block; callers on an event loop run them in a thread. All are safe to call from
    several threads and processes. Turn numbers and attempts start at 1.

    What is written expires (see `parley.memory.expiry`), but for what `append` adds. A finished
    turn that has expired reads as absent, whether it has been removed or not; to `claim`, `record`
    and `finish` it is there until it is removed.
    """

    def read_newest(
        self,
        conversation: str,
        turns: int | None,
        *,
        before: int | None = None,
        consistent: bool = False,
        max_bytes: int | None = None,
    ) -> list[StoredTurn]:
        """Read the newest finished turns.

        Args:
            conversation: The conversation key.
            turns: At most so many; None for all.
            before: Only turns numbered below it; None for no bound.
            consistent: Also see writes that other processes made a moment ago.
            max_bytes: No more turns once their items come to more bytes of JSON; None for no bound.

        Returns:
            The finished turns, newest first. Open items are left out; what another turn of the same
            number has left is there as well. Where there is no bound, the conversation's finished
            summaries stand first; they count as turns, and their bytes do not.
        """
        ...

    def read(
        self, conversation: str, turns: Sequence[TurnKey], *, max_bytes: int | None = None
    ) -> list[StoredTurn]:
        """Read the named finished turns, consistently; newest first, without those missing.

        Args:
            conversation: The conversation key.
            turns: Which.
            max_bytes: No more turns once their items come to more bytes of JSON; None for no bound.
        """
        ...

    def claim(self, conversation: str, turn: TurnKey, attempt: int) -> ClaimedTurn:
        """Make this attempt the turn's only writer, creating the item if there is none.

        Claiming twice with the same attempt is harmless. A finished item is given back under the
        claiming attempt, which so becomes the one to vouch for; it is not reopened.

        Raises:
            Fenced: A later attempt has claimed the turn.
            Unreadable: The turn is open and a record of it is damaged or of an unknown format
                version; the claim stands. Going on without it would call the model afresh over
                effects that have happened.
        """
        ...

    def record(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        position: str,
        response: dict[str, Any],
    ) -> None:
        """Keep a model response under its position, creating the item if there is none.

        Recording the same position again replaces it.

        Raises:
            Fenced: Another attempt has claimed the turn, or it is finished.
        """
        ...

    def finish(self, conversation: str, turn: TurnKey, attempt: int, memory: TurnMemory) -> None:
        """Mark the turn done with what it leaves and drop its records.

        Creates the item if there is none. Finishing again with the same attempt replaces it.

        Raises:
            Fenced: Another attempt has claimed or finished the turn.
        """
        ...

    def write_back(self, conversation: str, turns: Sequence[StoredTurn]) -> None:
        """Write finished turns anew, whatever stands in their place, so that they live on.

        Only for turns that Postgres vouches for with the attempts that they name: nobody else has
        anything to write there any more. On an error some of them may have been written.

        Args:
            conversation: The conversation key.
            turns: Turns that were read, or rebuilt from the transcript; those without memory are
                passed over.
        """
        ...

    def discard(self, conversation: str, turn: TurnKey, attempt: int) -> None:
        """Drop the records of a turn that has ended without leaving memory.

        The fence stays, and expires as a finished turn does. Nothing is done if the turn is
        finished, another attempt's or not there.
        """
        ...

    def append(self, conversation: str, memory: TurnMemory) -> int:
        """Add a finished turn after the newest and return its number. It never expires.

        For conversations that no turn protocol numbers: see `parley.memory.sdk_session`. Two
        appends at once both stand, one after the other.
        """
        ...

    def pop_item(self, conversation: str) -> Item | None:
        """Remove the newest readable SDK item and return it; None if there is none.

        Unreadable turns that are newer are removed on the way, as are turns left without items.
        """
        ...

    def forget_before(self, conversation: str, number: int) -> Held:
        """Remove every turn numbered below `number`, open or done, and return what that was.

        Event logs stay for their day.
        """
        ...

    def forget_summaries(self, conversation: str, *, keep: Collection[UUID] = ()) -> None:
        """Remove the conversation's summaries, open or done, but for those of some ids."""
        ...

    def forget(self, conversation: str) -> Held:
        """Remove everything of the conversation and return what that was.

        The event logs of its turns (`parley.events`) go as well, and do not count.
        """
        ...

    def weigh(self, conversation: str, *, before: int | None = None) -> Held:
        """Tell what `forget_before`, or `forget` where there is no bound, would remove."""
        ...

    def conversations(self, after: str | None, limit: int) -> Conversations:
        """List the conversations that the store has, in an order of its own.

        One of which only an event log is left is among them.

        What is written or removed meanwhile may be in the list or not. On DynamoDB this reads,
        and pays for, the whole table.

        Args:
            after: The `next` of the page before; None to begin.
            limit: At most so many keys. A DynamoDB page reads so many items, and may hold fewer.

        Raises:
            ValueError: `after` is not such a place.
        """
        ...

    def statistics(self, conversation: str, *, since: int = 1) -> MemoryStatistics:
        """Count the finished turns numbered `since` or above; summaries are none."""
        ...

    def expired(self) -> Held:
        """Tell what `remove_expired` would remove if nothing bounded it."""
        ...

    def remove_expired(self, limit: int) -> Held:
        """Remove turns that have expired, at most `limit`, and return what that was.

        DynamoDB does that itself: there it is none.
        """
        ...

    def size(self) -> StoreSize:
        """Tell how large the whole store is. DynamoDB knows it as of some hours ago."""
        ...
