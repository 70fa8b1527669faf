"""The durations that depend on each other: who changes one is told which others it goes with."""

from __future__ import annotations

import ast

import pytest

from parley import retry, threads
from parley.config import Settings
from parley.events import log, reader, writer
from parley.http import admin, arrival, identity, messages, stream_request
from parley.memory import expiry
from parley.repository import deletion, waiting
from parley.repository.turns import LEASE_SECONDS
from parley.turns import effects, lease, wakeup
from parley_testing.api.handlers import FUNCTIONS as FOLDER

INVOCATION_SECONDS = 900
"""The longest that Lambda lets an invocation take."""

QUEUE_DELAY_SECONDS = 900
"""The longest that SQS keeps a message back."""

STATEMENT_SECONDS: float = Settings.model_fields["database_statement_timeout_seconds"].default


def of_function(path: str, name: str) -> float:
    """A constant of a function's code, which cannot be imported without a deployment's settings."""
    for node in ast.parse((FOLDER / path).read_text()).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            return float(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise AssertionError(f"{path} has no {name}")


def test_a_lease_is_renewed_often_enough_to_miss_one() -> None:
    assert 2 * lease.RENEW_SECONDS < LEASE_SECONDS


def test_a_write_that_is_waited_for_ends_before_its_lease() -> None:
    # Begun just before it is renewed, tried again for as long as it may, and answered late.
    assert lease.RENEW_SECONDS + retry.PATIENCE_SECONDS + STATEMENT_SECONDS < LEASE_SECONDS


def test_who_looks_after_a_crash_finds_the_lease_over() -> None:
    assert wakeup.CRASH_SECONDS > LEASE_SECONDS


def test_a_queued_turn_is_left_to_its_worker_for_longer_than_a_lease() -> None:
    assert waiting.WOKEN_FOR_SECONDS > LEASE_SECONDS


def test_what_is_put_off_the_queue_can_keep_back() -> None:
    assert wakeup.CRASH_SECONDS <= wakeup.LONGEST_DELAY_SECONDS <= QUEUE_DELAY_SECONDS
    assert [wakeup.retry_seconds(tries) for tries in (0, 1, 2, 100)] == [
        wakeup.RETRY_SECONDS,
        wakeup.RETRY_SECONDS,
        2 * wakeup.RETRY_SECONDS,
        wakeup.LONGEST_DELAY_SECONDS,
    ]


def test_a_put_back_wakeup_comes_when_an_unseen_claim_has_lost_its_lease() -> None:
    assert of_function("worker/app.py", "PUT_BACK_SECONDS") > LEASE_SECONDS


def test_no_try_begins_that_could_not_be_answered_through_the_gateway() -> None:
    within = arrival.GATEWAY_SECONDS - arrival.ANSWER_SECONDS

    assert within > retry.PATIENCE_SECONDS + STATEMENT_SECONDS
    assert sum(threads.PAUSES) < retry.PATIENCE_SECONDS
    assert sum(retry.PAUSES) < retry.PATIENCE_SECONDS


@pytest.mark.parametrize(
    "margin", [messages.MARGIN_SECONDS, of_function("worker/app.py", "MARGIN_SECONDS")]
)
def test_an_invocation_keeps_a_whole_statement_and_a_tools_body_for_letting_go(
    margin: float,
) -> None:
    assert margin > STATEMENT_SECONDS + effects.BODY_SECONDS


def test_a_page_of_administration_ends_with_its_request() -> None:
    assert admin.MARGIN_SECONDS < arrival.GATEWAY_SECONDS - arrival.ANSWER_SECONDS


def test_an_authorizers_answer_is_believed_as_long_as_its_token() -> None:
    assert of_function("authorizer/tokens.py", "LEEWAY_SECONDS") == identity.LEEWAY_SECONDS


def test_memory_is_removed_again_when_no_process_can_write_any_more() -> None:
    assert deletion.GRACE_SECONDS > INVOCATION_SECONDS + LEASE_SECONDS


def test_a_log_is_there_for_as_long_as_its_turn_can_be_told_of() -> None:
    assert log.KEPT_SECONDS > 2 * INVOCATION_SECONDS
    assert expiry.OPEN_SECONDS > log.KEPT_SECONDS


def test_an_idle_log_is_looked_at_before_a_worker_is_woken() -> None:
    assert writer.LOOK_SECONDS < reader.QUIET_SECONDS < reader.ASK_SECONDS < reader.WAKE_SECONDS


def test_streams_are_counted_on_for_as_long_as_lambda_gives() -> None:
    assert stream_request.INVOCATION_SECONDS == INVOCATION_SECONDS
