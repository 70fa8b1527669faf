"""The statements of a turn's life stand whole in files, and psql takes them as they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

import parley.repository
from parley.repository.statements import statement
from parley_local.postgres import programs
from parley_testing.postgres.databases import owner_url
from parley_testing.waiting import HANG_SECONDS

FILES = sorted((Path(parley.repository.__file__).parent / "sql").glob("*.sql"))
NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"
VALUES = {
    "turn_id": NOBODY,
    "session_id": NOBODY,
    "message_id": NOBODY,
    "fingerprint": r"'\x00'::bytea",
    "fingerprints": r"array['\x00'::bytea]",
    "metadata": "'{}'",
    "model_steps": "'[]'",
    "spent": "'[]'",
    "window_from": "0",
    "enqueue": "true",
    "queue": "false",
    "behind_waiting": "true",
    "crashed": "false",
    "of_all": "false",
    "settles": "true",
    "calls_known": "true",
    "remembered": "false",
    "lease": "45.0",
    "known_as": f"'{UUID(int=1)}'",
    **dict.fromkeys(("summary_id", "making_id", "mine", "place"), NOBODY),
    "agents": "array['a']",
    "approval_id": NOBODY,
    "asked": "'[]'",
    "limits": "'{}'",
    "rates": "'{}'",
    "expires_in": "60.0",
} | dict.fromkeys(
    (
        "window", "max_queued", "pace_turns", "attempt", "model_calls", "input_tokens",
        "output_tokens", "summary_attempt", "making_attempt", "my_attempt", "turns", "max_bytes",
        "pause", "longest", "at_once", "wait",
        "max_open_turns", "turns_per_minute", "call_tokens", "tokens_per_day", "tokens_per_month",
        "held", "settled", "held_cost", "settled_cost", "spent_tokens", "spent_cost",
        "cost", "priced_calls", "waiting_sequence",
        "nanodollars_per_day", "nanodollars_per_month", "text_tokens", "answer_tokens",
        "max_sessions", "max_metadata_bytes",
        "max_streams", "stream_seconds", "held_pause",
        "cached_tokens", "reasoning_tokens", "cost_nanodollars", "uncounted_calls",
        "unpriced_calls", "limit", "percent",
    ),
    "1",
)  # fmt: skip


def parameters(sql: str) -> set[str]:
    """What the file's head says that the statement is given."""
    head = " ".join(line.removeprefix("-- ") for line in sql.splitlines() if line.startswith("--"))
    (listed,) = re.findall(r"Parameters: ([\w, ]+)\.", head) or [""]
    return set(listed.split(", "))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_psql_takes_it_as_it_is(database_url: str, file: Path) -> None:
    given = [
        part
        for name in statement(file.stem)._bindparams
        for part in ("-v", f"{name}={VALUES.get(name, repr('a'))}")
    ]
    url = owner_url(database_url).replace("+psycopg", "")
    command = [str(programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *given, url]

    done = subprocess.run(
        command,
        input=f"EXPLAIN\n{file.read_text()};\n",
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "cost=" in done.stdout


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "begin_by_name"])
def test_its_head_says_what_it_is_given(file: Path) -> None:
    assert parameters(file.read_text()) == set(statement(file.stem)._bindparams)


def test_the_other_way_to_begin_says_what_it_is_given_besides() -> None:
    besides = {"agent", "name", "platform", "metadata", "session_key", "session_fingerprint"}
    besides |= {"known_as", "known_with", "max_sessions", "max_metadata_bytes"}

    by_name, by_id = (set(statement(f"begin_by_{way}")._bindparams) for way in ("name", "id"))

    assert by_name == by_id | besides


def test_a_session_without_metadata_is_made_as_one_with_it() -> None:
    whole, bare = (statement(f"create_{kind}").text for kind in ("session", "bare_session"))
    counting = re.search(r"\n  UNION ALL\n.*?\n  LIMIT 1(?=\))", whole, re.DOTALL)
    assert counting is not None

    plain = whole.replace(counting[0], "").replace(
        " metadata, idempotency_key, f", " idempotency_key, f"
    )

    assert plain.replace(" CAST(:metadata AS jsonb),", "") == bare


def test_the_two_ways_to_begin_are_the_same_from_the_head_on() -> None:
    by_id, by_name = (
        statement(f"begin_by_{way}").text.partition("head AS MATERIALIZED")[2]
        for way in ("id", "name")
    )
    of_names = by_name.replace(
        "WHEN EXISTS (SELECT FROM buried) THEN CASE\n"
        "      WHEN (SELECT fingerprint FROM buried) <> ALL(CAST(:fingerprints AS bytea[]))\n"
        "      THEN 'key_reused' ELSE 'not_found' END",
        "WHEN false THEN NULL",
    ).replace(
        "WHEN seen.id IS NULL AND excess.reached IS NULL THEN 'again'",
        "WHEN seen.id IS NULL THEN 'not_found'",
    )

    assert of_names == by_id
