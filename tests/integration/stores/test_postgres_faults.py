"""Postgres fails at any statement, once or for a while: what is answered, and what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parley_testing.api.handlers import Answer
from parley_testing.api.problems import problem
from parley_testing.postgres.postgres_faults import (
    LASTING,
    ONCE,
    deadlock,
    not_serializable,
    terminated,
)
from parley_testing.postgres.postgres_place import OPERATIONS, Conversation, Operation, Place
from parley_testing.run.at_length import some

AT_A_ROW = [name for name, operation in OPERATIONS.items() if operation.row]
AFTER_LOST_ANSWERS = {"create": 200, "delete": 404}
"""Statuses that tell that an earlier request had done it: the session is there, or gone."""


Look = Callable[[Conversation, Operation, Answer], None]


@pytest.fixture(scope="module")
def strict_place(new_place: Any) -> Iterator[Place]:
    """A place where transactions are serializable."""
    with new_place("serializable") as place:
        yield place


@pytest.mark.parametrize(
    ("name", "fault"),
    # Each operation is tried with some of the faults, and each fault with some operations.
    some([(n, fault) for n in OPERATIONS if n != "commit" for fault in LASTING], one_in=3),
)
def test_while_it_lasts_the_answer_is_503_and_afterwards_the_same_request_succeeds(
    talk: Conversation,
    as_undisturbed: Look,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    name: str,
) -> None:
    operation = OPERATIONS[name]
    happens, reason = LASTING[fault]

    with happens(talk, operation):
        during = talk.request(operation)

    talk.place.wire.restore()
    if (fault, name) == ("read-only", "transcript"):
        assert during.status == 200
    else:
        problem(during, 503, "store_unavailable")
        assert int(during.headers["retry-after"]) > 0
        logged = [str(vars(each)["reason"]) for each in caplog.records if hasattr(each, "reason")]
        assert re.fullmatch(f"postgres: ({reason})", logged[-1])
    talk.expire()
    after = talk.request(operation)
    done_before = AFTER_LOST_ANSWERS if fault == "answers lost" else {}
    assert after.status == done_before.get(name, operation.status), after
    as_undisturbed(talk, operation, after)


@pytest.mark.parametrize("fault", ONCE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_once_is_not_noticed(
    talk: Conversation, as_undisturbed: Look, fault: str, name: str
) -> None:
    operation = OPERATIONS[name]

    with ONCE[fault](talk, operation):
        answer = talk.request(operation)

    # A COMMIT whose answer was lost is looked up instead.
    repeated = 1 if (fault, name) == ("answer lost", "commit") else 2
    assert tries(talk, operation) == repeated
    assert answer.status == operation.status, answer
    as_undisturbed(talk, operation, answer)


@pytest.mark.parametrize("name", AT_A_ROW)
def test_a_shutdown_while_the_statement_waits_is_not_noticed(
    talk: Conversation, as_undisturbed: Look, name: str
) -> None:
    operation = OPERATIONS[name]

    with terminated(talk, operation):
        answer = talk.request(operation)

    assert tries(talk, operation) == 2
    assert answer.status == operation.status, answer
    as_undisturbed(talk, operation, answer)


@pytest.mark.parametrize("name", AT_A_ROW)
def test_what_cannot_be_serialized_is_done_again_whole(
    strict_place: Place, as_undisturbed: Look, name: str
) -> None:
    talk, operation = strict_place.conversation(), OPERATIONS[name]

    with not_serializable(talk, operation):
        answer = talk.request(operation)

    assert tries(talk, operation) == 2
    if name == "record":
        assert tries(talk, OPERATIONS["effect"]) == 2
    assert answer.status == operation.status, answer
    as_undisturbed(talk, operation, answer)


def test_a_tool_that_is_deadlocked_is_run_afresh(talk: Conversation, as_undisturbed: Look) -> None:
    operation = OPERATIONS["record"]

    with deadlock(talk, operation):
        answer = talk.request(operation)

    assert tries(talk, operation) == tries(talk, OPERATIONS["effect"]) == 2
    assert answer.status == 201, answer
    as_undisturbed(talk, operation, answer)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_process_whose_connections_died_while_it_was_frozen_notices_nothing(
    talk: Conversation, as_undisturbed: Look, name: str
) -> None:
    operation = OPERATIONS[name]
    talk.place.sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
        (talk.place.role,),
    )

    answer = talk.request(operation)

    assert answer.status == operation.status, answer
    as_undisturbed(talk, operation, answer)


def tries(talk: Conversation, operation: Operation) -> int:
    """Tell how often the operation's statement was sent."""
    sent = talk.place.wire.statements
    return sum(re.search(operation.statement, statement) is not None for statement in sent)
