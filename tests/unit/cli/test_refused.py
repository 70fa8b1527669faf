"""Arguments that cannot be taken are refused in plain words, with the limit."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sessions", "list", "--limit", "0"], "'--limit': must be at least 1."),
        (["sessions", "list", "--limit", "many"], "'--limit': must be a whole number."),
        (["dev", "--port", "99999"], "'--port': must be at most 65535."),
        (["escalations", "show", "nope"], "'SESSION_ID': must be an id, such as"),
        (["sessions", "list", "--status", "x"], "'--status': 'x' is not one of 'active', 'ended'"),
        (["turns", "follow", "s", "--after", "-1"], "'--after': must be at least 0."),
    ],
)
def test_it_is_said_what_would_be_taken(parley: Any, arguments: list[str], words: str) -> None:
    result = parley(*arguments)

    assert result.exit_code == 2
    assert f"Error: Invalid value for {words}" in result.stderr
