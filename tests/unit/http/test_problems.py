"""What a client is told of each error."""

from __future__ import annotations

from uuid import UUID

import pytest

from parley import errors
from parley.http import problems

SESSION = UUID("01939d5c-2c00-7000-8000-000000000001")
TURN = UUID("01939d5c-2c00-7000-8000-000000000002")
FIELD = problems.FieldError(field="name", reason="is too long")

TOLD = [
    (errors.Unauthenticated("why"), 401, "unauthorized", set()),
    (errors.MissingScope("parley:admin"), 403, "forbidden", set()),
    (errors.NotFound("session", SESSION), 404, "not_found", set()),
    (problems.MalformedBody("why"), 400, "bad_request", set()),
    (problems.BodyTooLarge(1, "bytes"), 413, "content_too_large", set()),
    (problems.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type", set()),
    (problems.MethodNotAllowed("GET"), 405, "method_not_allowed", set()),
    (problems.InvalidFields([FIELD]), 422, "invalid_field", {"errors"}),
    (errors.InvalidField("name", "is too long"), 422, "invalid_field", {"errors"}),
    (errors.NameTaken("groceries"), 409, "name_taken", set()),
    (errors.IdempotencyKeyReused("k"), 422, "idempotency_key_reused", set()),
    (
        errors.SessionEscalated(SESSION),
        409,
        "session_escalated",
        {"session_id", "session_status"},
    ),
    (
        errors.SessionNotActive(SESSION, "ended"),
        409,
        "session_not_active",
        {"session_id", "session_status"},
    ),
    (errors.TurnInProgress(SESSION, TURN), 409, "turn_in_progress", {"session_id", "turn_id"}),
    (errors.TurnWaiting(SESSION, TURN), 409, "turn_waiting", {"session_id", "turn_id"}),
    (errors.QueueFull(SESSION, 20), 409, "queue_full", {"session_id"}),
    (errors.LimitReached("user_max_open_turns", 50), 409, "limit_reached", {"limit"}),
    (errors.LimitReached("user_max_sessions", 50), 409, "limit_reached", {"limit"}),
    (errors.LimitReached("user_max_metadata_bytes", 50), 409, "limit_reached", {"limit"}),
    (errors.LimitReached("user_turns_per_minute", 60, 0.2), 429, "limit_reached", {"limit"}),
    (errors.LimitReached("user_max_streams", 20, 10.0), 429, "too_many_streams", {"limit"}),
    (errors.LimitReached("max_notes", 1000), 409, "limit_reached", {"limit"}),
    (errors.StoreUnavailable("postgres", "08006"), 503, "store_unavailable", set()),
    (errors.TurnUnfinished(SESSION, TURN), 504, "turn_timeout", {"session_id", "turn_id"}),
    (
        errors.TurnFailed(SESSION, TURN, "failed", "model_failed", "It gave no answer."),
        502,
        "model_failed",
        {"session_id", "turn_id"},
    ),
    (
        errors.TurnFailed(SESSION, TURN, "cancelled", "cancelled", "You stopped it."),
        409,
        "turn_cancelled",
        {"session_id", "turn_id"},
    ),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "facts"), TOLD, ids=[type(error).__name__ for error, *_ in TOLD]
)
def test_an_error_has_its_status_code_and_facts(
    error: Exception, status: int, code: str, facts: set[str]
) -> None:
    said = problems.answer(error)

    assert (said.status, said.code, set(said.facts)) == (status, code, facts)
    assert said.detail


def test_what_is_down_says_when_to_come_back() -> None:
    said = problems.answer(errors.StoreUnavailable("postgres", "08006"))

    assert int(said.headers["Retry-After"]) > 0


def test_a_limit_that_renews_by_itself_says_when_and_never_too_early() -> None:
    said = problems.answer(errors.LimitReached("user_turns_per_minute", 60, 41.2))

    assert said.headers == {"Retry-After": "42"}
    assert said.detail.startswith("60 turns")


@pytest.mark.parametrize("limit", ["user_tokens_per_day", "user_tokens_per_month"])
def test_a_budget_that_is_used_up_says_of_how_much_how_much_and_until_when(limit: str) -> None:
    said = problems.answer(errors.LimitReached(limit, 5_000, 3_600.5, used=4_800, expected=300))

    assert (said.status, said.code) == (429, "budget_exceeded")
    facts = {"limit": limit, "budget": 5_000, "used": 4_800, "held": 0, "expected": 300}
    assert said.facts == facts
    assert said.headers == {"Retry-After": "3601"}
    assert "5000" in said.detail
    assert "4800" in said.detail


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), errors.Fenced(1, 1)])
def test_a_defect_of_ours_tells_nothing(error: Exception) -> None:
    said = problems.answer(error)

    assert (said.status, said.code, said.facts) == (500, "internal_error", {})
    assert "secret" not in said.detail


def test_nobody_is_told_which_store_failed_or_how() -> None:
    said = problems.answer(errors.StoreUnavailable("postgres", "password of alice refused"))

    assert "postgres" not in said.detail
    assert "password" not in said.detail


def test_of_thousands_of_wrong_fields_the_first_are_named() -> None:
    faults = [problems.FieldError(field=f"f{n}", reason="is not known") for n in range(9998)]

    said = problems.answer(problems.InvalidFields(faults))

    assert [fault["field"] for fault in said.facts["errors"]] == [f"f{n}" for n in range(20)]
    assert said.detail.endswith("f19: is not known; and 9978 more")


@pytest.mark.parametrize("may_enqueue", [True, False])
def test_who_has_no_way_to_wait_behind_a_turn_is_not_told_of_one(may_enqueue: bool) -> None:
    told = problems.answer(errors.TurnWaiting(SESSION, TURN, may_enqueue=may_enqueue)).detail

    assert ("on_conflict" in told) is may_enqueue
    assert str(TURN) in told
