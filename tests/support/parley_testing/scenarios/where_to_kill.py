"""Where `make test` kills and stops processes: at each kind of point, in the scenes of most use.

A kind of point is its name. A scene is one way of the tests' to have a process pass points. All
that it passes have a row here, and all that are taken in it are passed: else its test fails. Who
adds a point to the code adds its rows: to `KILLED`, with one scene or more in which somebody else
has to go on there, and to `STOPPED` if it says what is to be done. Of its passings in a scene one
is taken. `make at-length` takes all points in all scenes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from parley.testing.processes import Point
from parley_testing.run.at_length import AT_LENGTH

Scene = Literal[
    "tools",
    "agents",
    "asking",
    "tools, carried on",
    "asking, carried on",
    "cancelling",
    "cancelling effects",
    "cancelling too late",
    "streaming",
    "cancelling a stream",
    "worker",
]

KILLED: Mapping[str, tuple[Scene, ...]] = {
    "before TurnRepository.begin": ("tools",),
    "after TurnRepository.begin": ("agents",),
    "before TurnRepository.claim_head": ("worker",),
    "after TurnRepository.claim_head": ("worker",),
    "before TurnRepository.complete": ("tools, carried on", "cancelling too late"),
    "after TurnRepository.complete": ("tools", "streaming", "cancelling too late"),
    "before TurnRepository.stop": ("cancelling",),
    "after TurnRepository.stop": ("cancelling effects",),
    "after request_cancel": ("cancelling", "cancelling a stream"),
    "before TurnExecutor._window": ("agents",),
    "after TurnExecutor._window": ("worker",),
    "before Transcript.turn": ("cancelling effects",),
    "after Transcript.turn": ("asking",),
    "before a model call": ("tools",),
    "after a model call": ("agents", "streaming"),
    "before ToolCallRepository.of_turn": ("tools, carried on",),
    "after ToolCallRepository.of_turn": ("asking, carried on",),
    "before ToolCallRepository.record": ("agents",),
    "after ToolCallRepository.record": ("asking",),
    "before the tool add_task": ("tools",),
    "inside the transaction of add_task": ("tools",),
    "before the commit of add_task": ("tools, carried on",),
    "after the commit of add_task": ("tools", "streaming", "worker"),
    "before the tool note": ("agents",),
    "inside the transaction of note": ("agents",),
    "before the commit of note": ("asking",),
    "after the commit of note": ("agents",),
    "before the tool pay": ("asking",),
    "inside the transaction of pay": ("asking",),
    "before the commit of pay": ("asking, carried on",),
    "after the commit of pay": ("asking",),
    "before the tool ask_helper": ("agents",),
    "before the tool ask_clerk": ("asking",),
    "before pause": ("asking",),
    "after pause": ("asking",),
    "before get": ("asking",),
    "after get": ("asking, carried on",),
    "before decide": ("asking",),
    "after decide": ("asking",),
    "before of_running": ("asking",),
    "after of_running": ("asking, carried on",),
    "before SqsWakeQueue.put_back": ("worker",),
    "after SqsWakeQueue.put_back": ("worker",),
    "before SqsWakeQueue.wake": ("streaming",),
    "after SqsWakeQueue.wake": ("worker",),
    "before SqliteStore.read_newest": ("tools, carried on",),
    "after SqliteStore.read_newest": ("tools",),
    "before SqliteStore.claim": ("asking",),
    "after SqliteStore.claim": ("tools, carried on", "asking, carried on", "cancelling"),
    "before SqliteStore.record": ("agents",),
    "after SqliteStore.record": ("tools", "streaming"),
    "before SqliteStore.finish": ("tools", "streaming", "cancelling effects"),
    "after SqliteStore.finish": ("agents", "worker", "cancelling effects"),
    "before SqliteEventLog.read": ("cancelling a stream",),
    "after SqliteEventLog.read": ("cancelling a stream",),
    "before SqliteEventLog.append": ("streaming", "worker"),
    "after SqliteEventLog.append": ("streaming",),
    "before DynamoDbStore.read_newest": ("agents",),
    "after DynamoDbStore.read_newest": ("worker",),
    "before DynamoDbStore.claim": ("asking", "cancelling too late"),
    "after DynamoDbStore.claim": ("tools, carried on", "cancelling"),
    "before DynamoDbStore.record": ("asking, carried on",),
    "after DynamoDbStore.record": ("tools", "agents"),
    "before DynamoDbStore.finish": ("tools", "streaming"),
    "after DynamoDbStore.finish": ("worker", "cancelling effects"),
    "before DynamoDbEventLog.read": ("cancelling a stream",),
    "after DynamoDbEventLog.read": ("cancelling a stream",),
    "before DynamoDbEventLog.append": ("streaming", "worker"),
    "after DynamoDbEventLog.append": ("streaming",),
}
"""In which scenes a process is killed at one of these points."""

NOWHERE = (
    "before StreamPlaces.leave",
    "after StreamPlaces.leave",
    "before TurnRepository.renew",
    "after TurnRepository.renew",
)
"""What not every run passes: who has told its reader all may end before it leaves its place, and a
lease is renewed only where a turn takes long. One of `test_wakeups.py` does, and is killed there.
"""

STOPPED: Mapping[str, tuple[Scene, ...]] = {
    "before TurnRepository.begin": ("agents",),
    "before TurnRepository.complete": ("tools",),
    "before TurnExecutor._window": ("agents",),
    "before Transcript.turn": ("asking",),
    "before a model call": ("tools",),
    "before ToolCallRepository.of_turn": ("asking",),
    "before ToolCallRepository.record": ("agents",),
    "before the tool add_task": ("tools",),
    "inside the transaction of add_task": ("tools",),
    "before the commit of add_task": ("tools",),
    "before the tool note": ("agents",),
    "inside the transaction of note": ("agents",),
    "before the commit of note": ("agents",),
    "before the tool pay": ("asking",),
    "inside the transaction of pay": ("asking",),
    "before the commit of pay": ("asking",),
    "before the tool ask_helper": ("agents",),
    "before the tool ask_clerk": ("asking",),
    "before pause": ("asking",),
    "before get": ("asking",),
    "before decide": ("asking",),
    "before of_running": ("asking",),
    "before SqliteStore.read_newest": ("tools",),
    "before SqliteStore.claim": ("asking",),
    "before SqliteStore.record": ("tools", "agents"),
    "before SqliteStore.finish": ("tools", "asking"),
    "before DynamoDbStore.read_newest": ("agents",),
    "before DynamoDbStore.claim": ("asking",),
    "before DynamoDbStore.record": ("tools", "agents"),
    "before DynamoDbStore.finish": ("tools",),
}
"""In which scenes a process is stopped there, and goes on when all is over.

Points that say what has been done are not here: the next one says what the process then tries.
"""


def kills(scene: Scene, points: Sequence[Point], *, one_in: int = 1) -> list[Point]:
    """Return at which of the points that are passed in a scene a process is killed.

    Args:
        scene: The scene.
        points: All that an undisturbed process passes.
        one_in: How many there are for one that is taken at length.
    """
    return _taken("KILLED", KILLED, scene, points, one_in, exempt=NOWHERE)


def stops(scene: Scene, points: Sequence[Point], *, one_in: int = 1) -> list[Point]:
    """Return at which of the points that are passed in a scene a process is stopped."""
    done = [*NOWHERE, *(name for name, _ in points if name.startswith("after "))]
    return _taken("STOPPED", STOPPED, scene, points, one_in, exempt=done)


def _taken(
    table: str,
    rows: Mapping[str, tuple[Scene, ...]],
    scene: Scene,
    points: Sequence[Point],
    one_in: int,
    *,
    exempt: Collection[str],
) -> list[Point]:
    """Return what a table takes of a scene's points, in their order.

    Where memory is in DynamoDB, that is DynamoDB's own: what Postgres does is the same there.
    """
    often: dict[str, int] = {name: sum(name == each for each, _ in points) for name, _ in points}
    unknown = sorted(often.keys() - rows.keys() - set(exempt))
    assert not unknown, f"{scene!r} passes {unknown}: give them a row in {table} of {__file__}"
    store = "DynamoDb" if any(name.startswith(_DYNAMODB) for name in often) else "Sqlite"
    here = [name for name, scenes in rows.items() if scene in scenes and _belongs(name, store)]
    gone = sorted(set(here) - often.keys())
    assert not gone, f"{scene!r} passes {gone} no more: give them another scene in {__file__}"
    assert here, f"nothing is taken in {scene!r} with {store}: see {table} of {__file__}"
    if AT_LENGTH:
        return list(points[::one_in])
    # Which passing is chance, but always the same one.
    taken = {(name, sum(map(ord, scene + name)) % often[name] + 1) for name in here}
    return [point for point in points if point in taken]


_DYNAMODB = ("before DynamoDb", "after DynamoDb")


def _belongs(name: str, store: str) -> bool:
    return name.startswith(_DYNAMODB) if store == "DynamoDb" else not name.startswith(_DYNAMODB)
