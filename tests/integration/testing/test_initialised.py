"""Servers of forked processes copy what `initdb` has made for the first one."""

from __future__ import annotations

from pathlib import Path

import psycopg

from parley_local.postgres import EmbeddedPostgres
from parley_testing.warm.initialised import copied


def test_a_data_directory_is_made_once_and_each_server_has_its_own(tmp_path: Path) -> None:
    ran: list[str] = []

    class Server(EmbeddedPostgres):
        def _run(self, program: str, *arguments: str) -> None:
            ran.append(program)
            super()._run(program, *arguments)

    place = tmp_path / "place"
    place.mkdir()
    copied(Server, place)

    for name in ("one", "two"):
        with (
            Server(tmp_path / name / "data", tmp_path / "log") as server,
            psycopg.connect(server.url().replace("+psycopg", "")) as connection,
        ):
            connection.execute("CREATE TABLE notes ()")  # the second server has none either

    assert ran == ["initdb"]
    assert [each.name for each in place.iterdir()] == ["first"]
