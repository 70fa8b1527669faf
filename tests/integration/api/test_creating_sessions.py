"""POST /sessions: what is made of which fields, and which fields are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import psycopg
import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields

METADATA_MAX_BYTES = 16_384


def metadata_of(size: int, letter: str = "x") -> dict[str, str]:
    """Make metadata of so many bytes as JSON."""
    empty = len(json.dumps({"x": ""}, separators=(",", ":")))
    count, rest = divmod(size - empty, len(letter.encode()))
    return {"x": letter * count + "x" * rest}


def count(sql: psycopg.Connection) -> int:
    row = sql.execute("SELECT count(*) FROM sessions").fetchone()
    assert row is not None
    return int(row[0])


def test_a_session_is_made_of_all_fields(api: Api) -> None:
    fields = {
        "agent": "assistant",
        "name": "Grüße 🛒",
        "platform": "web",
        "metadata": {"team": "home", "list": [1, 2.5, None, True, {"deep": "er"}], "": ""},
    }

    answer = api("POST", "/sessions", fields)

    assert answer.status == 201
    made = answer.json
    assert {name: made[name] for name in fields} == fields
    assert made["status"] == "active"
    assert answer.headers["location"] == f"/sessions/{made['id']}"
    assert api("GET", answer.headers["location"]).json == made | {"usage": ANY}


def test_fields_that_are_not_given_have_defaults(api: Api) -> None:
    made = api("POST", "/sessions", {}).json

    assert made["agent"] == "todo"
    assert (made["name"], made["platform"], made["metadata"]) == (None, "api", {})


def test_the_id_is_made_before_the_insert_and_names_its_time(
    api: Api, sql: psycopg.Connection
) -> None:
    made = api("POST", "/sessions", {}).json

    assert UUID(made["id"]).version == 7
    default = sql.execute(
        "SELECT column_default FROM information_schema.columns"
        " WHERE table_name = 'sessions' AND column_name = 'id'"
    ).fetchone()
    assert default == (None,)


def test_times_are_rfc_3339_in_utc(api: Api) -> None:
    made = api("POST", "/sessions", {}).json

    assert made["created_at"] == made["updated_at"] == made["last_activity_at"]
    assert made["created_at"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(made["created_at"])
    assert abs(age) < timedelta(minutes=1)


def test_a_name_has_at_most_200_characters(api: Api) -> None:
    assert api("POST", "/sessions", {"name": "ü" * 200}).status == 201
    assert wrong_fields(api("POST", "/sessions", {"name": "ü" * 201})) == ["name"]


@pytest.mark.parametrize("letter", ["x", "ü", "🛒"])
def test_metadata_has_at_most_16_kilobytes(api: Api, letter: str) -> None:
    fits = metadata_of(METADATA_MAX_BYTES, letter)
    too_much = metadata_of(METADATA_MAX_BYTES + 1, letter)

    made = api("POST", "/sessions", {"metadata": fits})

    assert (made.status, made.json["metadata"]) == (201, fits)
    assert wrong_fields(api("POST", "/sessions", {"metadata": too_much})) == ["metadata"]


def test_spaces_between_metadatas_parts_do_not_count(api: Api) -> None:
    metadata = {"x": [1] * 8_000}  # more than 16 KB as Python writes it by default
    assert len(json.dumps(metadata)) > METADATA_MAX_BYTES

    assert api("POST", "/sessions", {"metadata": metadata}).status == 201


def test_numbers_in_metadata_come_back_as_they_were(api: Api) -> None:
    metadata = {"big": 10**40, "small": -(10**40), "close": 0.1, "none": 0}

    assert api("POST", "/sessions", {"metadata": metadata}).json["metadata"] == metadata


def test_a_platform_is_a_short_word(api: Api) -> None:
    good = ["a", "web", "cli", "my-app_2", "x" * 32]
    bad = ["", "Web", "2web", "-web", "x" * 33, "we b", "wéb", "web\n", " web"]

    assert {api("POST", "/sessions", {"platform": word}).status for word in good} == {201}
    for word in bad:
        assert wrong_fields(api("POST", "/sessions", {"platform": word})) == ["platform"], word


_REFUSED: list[tuple[Any, str]] = [
    ({"name": ""}, "name"),
    ({"name": " \t\n"}, "name"),
    ({"name": "\0"}, "name"),
    ({"name": 1}, "name"),
    ({"name": ["groceries"]}, "name"),
    ({"agent": ""}, "agent"),
    ({"agent": "nobody"}, "agent"),
    ({"agent": "x" * 101}, "agent"),
    ({"agent": 1}, "agent"),
    ({"platform": None}, "platform"),
    ({"platform": 1}, "platform"),
    ({"metadata": None}, "metadata"),
    ({"metadata": []}, "metadata"),
    ({"metadata": "{}"}, "metadata"),
    ({"id": "01939d5c-2c00-7000-8000-000000000001"}, "id"),
    ({"user_id": "bob"}, "user_id"),
    ({"status": "ended"}, "status"),
    ({"Name": "groceries"}, "Name"),
    ([], "body"),
    ("null", "body"),
    ('"text"', "body"),
    ("1", "body"),
    (None, "body"),
    ("", "body"),
]


def test_fields_that_cannot_be_taken_are_named_and_make_nothing(
    api: Api, sql: psycopg.Connection
) -> None:
    named = [wrong_fields(api("POST", "/sessions", body)) for body, _ in _REFUSED]

    assert named == [[field] for _, field in _REFUSED]
    assert count(sql) == 0


def test_null_is_the_default_where_a_field_may_be_null(api: Api) -> None:
    made = api("POST", "/sessions", {"name": None, "agent": None})

    assert (made.status, made.json["name"], made.json["agent"]) == (201, None, "todo")


def test_all_wrong_fields_are_named_at_once(api: Api) -> None:
    answer = api("POST", "/sessions", {"name": "", "platform": "!", "metadata": 1, "more": 1})

    assert sorted(wrong_fields(answer)) == ["metadata", "more", "name", "platform"]
