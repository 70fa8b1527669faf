"""`parley stats`: figures by names that a person reads, and stable ones where it is piped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from parley_cli.screen import told
from parley_cli.statistics import in_words
from parley_client.admin_models import Statistics

TIME = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
FIGURES: dict[str, Any] = {
    "sessions": {"active": 1200, "ended": 3, "escalated": 1},
    "messages_per_session": 4.25,
    "memory": {"items_per_session": 5.5, "sampled_sessions": 20, "turns": 40, "bytes": 2_500_000},
    "turns": {"queued": 0, "running": 1, "completed": 90, "failed": 2, "cancelled": 1},
    "newest_turns": {
        "looked_at": 94,
        "input_tokens": 12_000,
        "output_tokens": 800,
        "median_seconds": 2.04,
        "p95_seconds": 9,
        "failures": [{"agent": "todo", "code": "model_failed", "turns": 2}],
    },
    "oldest_open_turn_seconds": 12.4,
    "oldest_approval_seconds": 86_400.0,
    "waiting_sessions": 0,
    "outbox": {"waiting": 3, "due": 0, "oldest_due_seconds": None},
    "database": {"bytes": 34_500_000, "connections": 12},
    "last_cleanup": {
        "started_at": "2026-11-21T02:00:00Z",
        "ended_at": None,
        "outcome": "unfinished",
        "report": None,
    },
}


def test_figures_are_said_in_words_with_their_day_and_units() -> None:
    said = dict(in_words(Statistics.model_validate(FIGURES)))

    assert said == {
        "Sessions": "1,200 active, 3 ended, 1 escalated",
        "Messages a session": "4.2",
        "Turns begun in the last 24 hours": (
            "90 completed, 2 failed, 1 cancelled, 1 running, 0 queued, 0 waiting"
        ),
        "Time to a reply": (
            "2.0 s in the median, 9.0 s at most for 95 of 100, of the newest 94 of these turns"
        ),
        "Their tokens": "12,000 sent, 800 received",
        "Failed": "2 of todo: model_failed",
        "Oldest turn that is open": "12.4 s",
        "Oldest approval that nobody decided on": "86,400.0 s",
        "Sessions whose turn nobody carries on": "0",
        "Remembered": "40 turns, 2.5 MB; 5.5 items a session, of 20 looked at",
        "Conversations whose memory is to be removed": (
            f"3, of which 0 are due; the oldest since {told(None)}"
        ),
        "Database": "34.5 MB, 12 connections of all programs",
        "Last cleanup": f"unfinished, begun {told(TIME)}",
    }


@pytest.mark.parametrize("line", ["sessions.active\t1200", "turns.failed\t2"])
def test_piped_their_names_stay(parley: Any, api: Any, line: str) -> None:
    api.answers("GET /admin/stats", FIGURES)

    assert line in parley("stats").stdout.splitlines()
