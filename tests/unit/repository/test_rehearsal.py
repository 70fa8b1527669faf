"""A stand-in for Postgres, which only a rehearsal asks."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from parley.repository.rehearsal import Named, TooManyStatements, bounded, rehearsing

ONE = Named(["number"], [[1]])


def test_what_asks_in_a_circle_is_ended() -> None:
    engine = create_engine("postgresql+psycopg://nobody@nowhere/nothing")
    stand_in = rehearsing(engine, bounded(lambda *_: ONE, 3))

    with stand_in.connect() as connection:
        for _ in range(3):
            assert connection.execute(text("SELECT 1 AS number")).scalar() == 1
        with pytest.raises(TooManyStatements, match="more than 3 statements"):
            connection.execute(text("SELECT 1 AS number"))
