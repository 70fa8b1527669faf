"""What was approved is what is done: the digest is compared again when the call is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from parley.repository.approvals import digest_of
from parley.runner.approvals import NotCarriedOn, require_digest

CALL = ("shop", "refund", '{"amount":80}')


def attempt(status: str = "approved", digest: str = digest_of(*CALL)) -> Any:
    """An attempt in which somebody has decided on the call `c`."""
    return SimpleNamespace(decisions={"c": SimpleNamespace(status=status, digest=digest)})


def test_what_was_approved_goes_on() -> None:
    require_digest("c", *CALL, attempt())


def test_a_call_that_nobody_had_to_decide_on_goes_on() -> None:
    require_digest("another", *CALL, attempt("rejected"))


@pytest.mark.parametrize(
    "changed",
    [
        ("another", *CALL[1:]),
        (CALL[0], "pay", CALL[2]),
        (*CALL[:2], '{"amount":800}'),
    ],
    ids=["agent", "tool", "arguments"],
)
def test_a_call_that_is_not_the_one_that_was_approved_is_not_made(
    changed: tuple[str, str, str],
) -> None:
    with pytest.raises(NotCarriedOn, match="not the one that was approved"):
        require_digest("c", *changed, attempt())


@pytest.mark.parametrize("status", ["rejected", "expired", "open", "cancelled"])
def test_what_was_not_approved_is_not_made(status: str) -> None:
    with pytest.raises(NotCarriedOn):
        require_digest("c", *CALL, attempt(status))
