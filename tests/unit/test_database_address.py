"""A database's URL: read, and never quoted when it cannot be."""

from __future__ import annotations

import traceback

import pytest
from sqlalchemy import text

from parley.repository.address import parse_url
from parley.repository.database import Database
from parley.repository.scope import SERVICE
from parley.secrets import database_url

SECRET = "s3cr3t"

UNUSABLE = {
    "port that is no number": f"postgresql://parley:x@host:{SECRET}/parley",
    "@ in the password": f"postgresql://parley:pa@{SECRET}@host/parley",
    "@ and : in the password": f"postgresql://parley:pa@x:{SECRET}@host:5432/parley",
    "no host": f"postgresql://parley:{SECRET}",
    "port too large": f"postgresql://parley:{SECRET}@host:99999/parley",
    "port zero": f"postgresql://parley:{SECRET}@host:0/parley",
    "another database": f"mysql://parley:{SECRET}@host/parley",
    "a host that is none": f"postgresql://parley:x@a..{SECRET}/parley",
    "no URL at all": SECRET,
    "half a URL": f"://parley:{SECRET}@host",
    "JSON with a bad port": database_url(
        f'{{"username": "parley", "password": "{SECRET}", "host": "h", "port": "x{SECRET}"}}'
    ),
}


@pytest.mark.parametrize("url", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="the database's URL") as refused:
        parse_url(url)

    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("url", UNUSABLE.values(), ids=UNUSABLE)
def test_nor_is_it_where_a_connection_is_wanted(url: str) -> None:
    with pytest.raises(ValueError, match="the database's URL") as refused:
        Database(lambda: url, statement_timeout=1).run_once(SERVICE, text("SELECT 1"))

    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_what_stands_around_it_is_left_out(scheme: str) -> None:
    parts = parse_url(f" {scheme}://parley:{SECRET}@host:6543/name?sslmode=require\n")

    assert (parts.host, parts.port, parts.database) == ("host", 6543, "name")
    assert parts.query == {"sslmode": "require"}
