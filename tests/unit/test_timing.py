"""The durations that depend on each other where the module that holds them cannot see it."""

from __future__ import annotations

import ast
import time

from parley import retry, threads
from parley.http import identity
from parley.timing import LONGEST_DELAY_SECONDS, PATIENCE_SECONDS, RETRY_SECONDS, Deadline
from parley.turns import wakeup
from parley_testing.api.handlers import FUNCTIONS as FOLDER
from parley_testing.api.handlers import Context


def of_function(path: str, name: str) -> float:
    """A constant of a function's code, which cannot be imported without a deployment's settings."""
    for node in ast.parse((FOLDER / path).read_text()).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            return float(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise AssertionError(f"{path} has no {name}")


def test_the_wait_for_a_retry_doubles_up_to_what_the_queue_can_keep_back() -> None:
    assert [wakeup.retry_seconds(tries) for tries in (0, 1, 2, 100)] == [
        RETRY_SECONDS,
        RETRY_SECONDS,
        2 * RETRY_SECONDS,
        LONGEST_DELAY_SECONDS,
    ]


def test_the_pauses_between_tries_end_before_the_last_one_may_begin() -> None:
    assert sum(threads.PAUSES) < PATIENCE_SECONDS
    assert sum(retry.PAUSES) < PATIENCE_SECONDS


def test_an_authorizers_answer_is_believed_as_long_as_its_token() -> None:
    assert of_function("authorizer/tokens.py", "LEEWAY_SECONDS") == identity.LEEWAY_SECONDS


def test_a_deadline_is_told_by_the_invocation_or_by_a_moment() -> None:
    of_invocation = Deadline.of_invocation(Context(seconds=60))
    at = Deadline.at(time.time() - 60)

    assert of_invocation.before(100).left() < 0 < of_invocation.left()
    assert at.left() < 0 < at.before(-1000).left()
