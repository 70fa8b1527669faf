"""Reading who calls from what the authorizer said."""

from __future__ import annotations

import time
from typing import Any

import pytest

from parley.errors import MissingScope, Unauthenticated
from parley.http.identity import ADMIN, LEEWAY_SECONDS, Caller, identify


def event(**answer: Any) -> dict[str, Any]:
    return {"requestContext": {"authorizer": answer}}


def later(seconds: float) -> str:
    return str(int(time.time() + seconds))


def test_the_user_and_the_scopes_are_what_the_authorizer_said() -> None:
    caller = identify(event(user_id="alice", scopes="parley:admin other", exp=later(60)))

    assert caller == Caller("alice", frozenset({"parley:admin", "other"}))


@pytest.mark.parametrize("scopes", ["", "  ", None])
def test_a_token_may_have_no_scopes(scopes: str | None) -> None:
    assert identify(event(user_id="alice", scopes=scopes, exp=later(60))).scopes == frozenset()


@pytest.mark.parametrize("exp", ["nan", "-nan", "-inf", "", " ", "soon", None, "1", True])
def test_an_end_that_is_past_or_no_time_is_refused(exp: object) -> None:
    with pytest.raises(Unauthenticated):
        identify(event(user_id="alice", exp=exp))


def test_clocks_may_be_a_little_apart() -> None:
    assert identify(event(user_id="alice", exp=later(-LEEWAY_SECONDS + 5))).user_id == "alice"
    with pytest.raises(Unauthenticated):
        identify(event(user_id="alice", exp=later(-LEEWAY_SECONDS - 5)))


@pytest.mark.parametrize("user_id", ["", None, 1, ["alice"], {"sub": "alice"}])
def test_what_is_no_user_is_refused(user_id: object) -> None:
    with pytest.raises(Unauthenticated):
        identify(event(user_id=user_id, exp=later(60)))


def test_a_scope_lets_only_who_has_it() -> None:
    Caller("alice", frozenset({ADMIN})).require(ADMIN)
    for scopes in (frozenset(), frozenset({"parley:administrator"}), frozenset({"parley"})):
        with pytest.raises(MissingScope):
            Caller("alice", scopes).require(ADMIN)
