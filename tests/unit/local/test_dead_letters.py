"""The file of messages that were given up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parley_local.dead_letters import DeadLetters
from parley_local.queue_state import Message


def test_they_are_kept_in_their_order_until_they_are_cleared(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    DeadLetters(path).keep(Message("Zoë\n1", sent_at=0, visible_at=0, receives=3, group="a"))
    letters = DeadLetters(path)
    letters.keep(Message("2", sent_at=0, visible_at=0, receives=1))

    assert letters.messages() == [("Zoë\n1", "a"), ("2", None)]
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["receives"], first["sent_at"]) == (3, "1970-01-01T00:00:00.000+00:00")
    letters.clear()
    assert letters.messages() == []
    assert not path.exists()


@pytest.mark.parametrize("line", ["no JSON", "[]", "{}"])
def test_a_line_that_is_no_dead_letter_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_text('{"body": "1"}\n' + line + "\n")

    with pytest.raises(ValueError, match=r"dead\.jsonl:2"):
        DeadLetters(path).messages()
