"""What a user may spend in a day and a month holds, whatever dies: held before, settled after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import LimitReached
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import Reached, UserBudget
from parley.repository.turns import Ending, Held, NewSession, TurnRepository, Usage
from parley_testing.models.scripted import INPUT_TOKENS, OUTPUT_TOKENS, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.scenarios.at_once import at_once
from parley_testing.workbench import Workbench, held, request

ANSWER = 998
HELLO = 1_000
"""What the first call of a turn that says hello is expected to take."""
TOOK = INPUT_TOKENS + OUTPUT_TOKENS
OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})
STOPPED = Ending("failed", "model_failed", "It failed.", remembered=False)


def budget(day: int = 0, month: int = 0) -> UserBudget:
    return UserBudget(day, month, ANSWER)


def counted(sql: psycopg.Connection, user: str = "alice") -> tuple[int, int]:
    """The tokens of the day and of the month."""
    row = sql.execute(
        "SELECT day_tokens, month_tokens FROM user_limits WHERE user_id = %s", (user,)
    ).fetchone()
    return row or (0, 0)


@pytest.fixture
def turns(database: Database) -> TurnRepository:
    return TurnRepository(database, window=100, budget=budget(day=10_000, month=100_000))


def opening(**fields: Any) -> Any:
    return request(new_id(), opens=OPENS, **fields)


@pytest.mark.parametrize("how", [{}, {"queue": True}], ids=["runs", "waits"])
def test_the_first_call_is_held_by_the_begin(
    turns: TurnRepository, sql: psycopg.Connection, how: dict[str, bool]
) -> None:
    turns.begin(opening(), **how)

    assert counted(sql) == (HELLO, HELLO)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [(budget(day=2_500), "user_tokens_per_day"), (budget(month=2_500), "user_tokens_per_month")],
    ids=["day", "month"],
)
@pytest.mark.parametrize("new", [False, True], ids=["by id", "by name"])
def test_without_room_for_it_nothing_begins(
    database: Database,
    bench: Workbench,
    sql: psycopg.Connection,
    limits: UserBudget,
    limit: str,
    new: bool,
) -> None:
    turns = TurnRepository(database, window=100, budget=limits)

    def ask() -> Any:
        return opening() if new else request(bench.new_session())

    for _ in range(2):
        assert turns.begin(ask()).outcome == "running"

    refused = turns.begin(ask())

    assert refused.outcome == "limit_reached"
    assert refused.reached is not None
    assert (refused.reached.limit, refused.reached.most, refused.reached.used) == (
        limit, 2_500, 2 * HELLO,
    )  # fmt: skip
    days = 31 if "month" in limit else 1
    assert refused.reached.renews is not None
    assert 0 < refused.reached.renews <= days * 86_400
    assert counted(sql) == (2 * HELLO, 2 * HELLO)
    assert turns.begin(opening(user="bob")).outcome == "running"


def test_a_turn_that_is_over_counts_what_it_took(
    turns: TurnRepository, sql: psycopg.Connection
) -> None:
    first, second = (held(turns.begin(opening())) for _ in range(2))

    turns.complete(first, "hi", Usage(1, 100, 20), None)
    assert counted(sql) == (HELLO + 120, HELLO + 120)
    turns.complete(first, "hi", Usage(1, 100, 20), None)  # its answer was lost
    turns.stop(second, STOPPED, Usage(1, 3_000, 20), None)

    assert counted(sql) == (3_140, 3_140)


def test_the_next_turn_of_a_session_is_expected_to_be_sent_as_much_as_the_one_before(
    turns: TurnRepository, sql: psycopg.Connection
) -> None:
    first = held(turns.begin(opening()))
    turns.complete(first, "hi", Usage(2, 600, 20), None)

    turns.begin(request(first.session_id))

    assert counted(sql) == (620 + HELLO + 300, 620 + HELLO + 300)


@pytest.mark.parametrize("end", ["cancelled", "deleted", "ended"])
def test_what_waits_and_never_runs_gives_back_what_it_held(
    turns: TurnRepository, new_bench: Any, sql: psycopg.Connection, end: str
) -> None:
    bench = new_bench(user_budget=budget(day=10_000))
    begun = turns.begin(opening(), queue=True)
    assert begun.turn_id is not None
    match end:
        case "cancelled":
            asyncio.run(bench.canceller.cancel("alice", begun.session_id, begun.turn_id))
        case "deleted":
            bench.sessions.delete("alice", begun.session_id)
        case _:
            sql.execute("UPDATE sessions SET status = 'ended'")
            assert turns.claim_head(begun.session_id).outcome == "refused"

    assert counted(sql) == (0, 0)


@pytest.mark.parametrize("how", ["begin", "claim"])
def test_what_an_attempt_held_that_died_is_lost_and_counts(
    turns: TurnRepository,
    sql: psycopg.Connection,
    expire: Callable[[UUID], None],
    how: str,
) -> None:
    """Whether the provider was asked before, nobody knows."""
    turn = held(turns.begin(opening()))
    expire(turn.id)

    if how == "begin":
        taken = held(turns.begin(request(turn.session_id)))
    else:
        claimed = turns.claim_head(turn.session_id).turn
        assert claimed is not None
        taken = claimed

    assert counted(sql) == (HELLO, HELLO)
    turns.complete(turn, "zombie", Usage(1, 5_000, 0), None)  # settles nothing
    assert turns.hold_tokens(turn, held=5_000, spent=0) is None
    assert counted(sql) == (HELLO, HELLO)
    assert isinstance(turns.hold_tokens(taken, held=500, spent=0), Held)
    assert counted(sql) == (HELLO + 500, HELLO + 500)
    turns.complete(taken, "hi", Usage(1, 70, 0), None)
    assert counted(sql) == (HELLO + 70, HELLO + 70)


def test_what_is_held_is_told_whole_and_so_may_be_told_again(
    turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = held(turns.begin(opening()))

    for _ in range(2):
        assert isinstance(turns.hold_tokens(turn, held=400, spent=300), Held)
        assert counted(sql) == (700, 700)
    reached = turns.hold_tokens(turn, held=10_000, spent=300)

    assert isinstance(reached, Reached)
    assert (reached.limit, reached.most, reached.used) == ("user_tokens_per_day", 10_000, 700)
    assert counted(sql) == (700, 700)


def test_a_day_that_ends_in_a_turn(turns: TurnRepository, sql: psycopg.Connection) -> None:
    early, late = (held(turns.begin(opening())) for _ in range(2))
    # As it is after midnight, on the second of a month at the earliest.
    sql.execute("UPDATE turns SET budget_day = budget_day - 1")
    sql.execute("UPDATE user_limits SET day = day - 1")
    month_before = sql.execute(
        "SELECT date_trunc('month', day) <> date_trunc('month', day + 1) FROM user_limits"
    ).fetchone() == (True,)

    turns.complete(early, "hi", Usage(1, 100, 0), None)
    assert counted(sql)[0] == 0, "it was held yesterday"
    assert isinstance(turns.hold_tokens(late, held=400, spent=100), Held)
    assert counted(sql)[0] == 400
    turns.complete(late, "hi", Usage(1, 250, 0), None)

    day, month = counted(sql)
    assert day == 150
    assert month == (150 if month_before else 350)


def test_begins_at_once_never_hold_more_than_there_is(
    database_url: str, sql: psycopg.Connection
) -> None:
    limits = budget(day=7 * HELLO + 999)

    outcomes = at_once(
        database_url,
        20,
        lambda database, _: (
            TurnRepository(database, window=100, budget=limits).begin(opening()).outcome
        ),
    )

    assert sorted(outcomes) == ["limit_reached"] * 13 + ["running"] * 7
    assert counted(sql) == (7 * HELLO, 7 * HELLO)


def test_without_a_budget_nothing_is_counted(database: Database, sql: psycopg.Connection) -> None:
    turns = TurnRepository(database, window=100)
    turn = held(turns.begin(opening()))
    turns.complete(turn, "hi", Usage(1, 100, 20), None)

    assert sql.execute("SELECT count(*) FROM user_limits").fetchone() == (0,)


async def test_a_turn_without_tools_takes_two_round_trips_still(
    new_bench: Any, wire: PostgresWire, wired: Database, sql: psycopg.Connection
) -> None:
    bench = new_bench(
        in_order(say("one"), say("two")), database=wired, user_budget=budget(day=100_000)
    )
    first = await bench.sender.send(opening(), seconds=60)
    wire.reset()

    await bench.send(first.view.turn.session_id)

    assert wire.round_trips == 2, wire.statements
    assert counted(sql) == (2 * TOOK, 2 * TOOK)


async def test_each_further_call_is_held_and_over_the_budget_the_turn_ends_visibly(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    steps = [call("add_task", f"c{number}", title="milk") for number in range(3)]
    bench = new_bench(in_order(*steps, say("never said")), user_budget=budget(day=5_000))
    turn = held(bench.turns.begin(opening()))
    other = held(bench.turns.begin(opening()))  # holds something meanwhile
    assert isinstance(bench.turns.hold_tokens(other, held=3_990, spent=0), Held)

    view = await bench.execute(turn)

    assert (view.turn.status, view.turn.error_code) == ("failed", "budget_exceeded")
    assert view.turn.model_calls == 1
    assert "You may spend 5000 tokens a day" in view.turn.error_detail
    assert "Already done before that" in view.turn.error_detail
    assert counted(sql) == (3_990 + TOOK, 3_990 + TOOK)


async def test_a_turn_with_tools_settles_what_it_took(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    steps = [call("list_tasks", f"c{number}") for number in range(3)]
    bench = new_bench(in_order(*steps, say("Done.")), user_budget=budget(day=8_000))

    sent = await bench.sender.send(opening(), seconds=60)

    assert sent.view.turn.status == "completed"
    assert counted(sql) == (4 * TOOK, 4 * TOOK)


async def test_the_sender_is_told_what_was_used(new_bench: Any) -> None:
    bench = new_bench(user_budget=budget(day=500))

    with pytest.raises(LimitReached) as refused:
        await bench.sender.send(opening(), seconds=60)

    assert (refused.value.limit, refused.value.most, refused.value.used) == (
        "user_tokens_per_day", 500, 0,
    )  # fmt: skip
