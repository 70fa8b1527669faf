"""The Prefer header, as clients write it."""

from __future__ import annotations

import pytest

from parley.http.preferences import responds_async


@pytest.mark.parametrize(
    "prefer",
    [
        ["respond-async"],
        ["Respond-Async"],
        ["respond-async, wait=10"],
        ["wait=10,respond-async"],
        ["return=minimal", "respond-async"],
        [" respond-async ; foo=bar"],
    ],
)
def test_who_does_not_want_to_wait(prefer: list[str]) -> None:
    assert responds_async(prefer)


@pytest.mark.parametrize(
    "prefer", [None, [], [""], ["wait=10"], ["not-respond-async"], ["respond-asynchronously"]]
)
def test_who_waits(prefer: list[str] | None) -> None:
    assert not responds_async(prefer)
