"""An administrator beside an API, and sessions of any age for them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley_testing.api.handlers import Answer, Api
from parley_testing.stores.aged import Aged


class Administrator:
    """Sends requests with the scope for administration."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __call__(self, method: str, path: str, body: Any = None, **parts: Any) -> Answer:
        return self._api(method, path, body, user="root", scopes="openid parley:admin", **parts)

    def erase(self, user: str, **parts: Any) -> Any:
        answer = self("DELETE", f"/admin/users/{quote(user, safe='')}", **parts)
        assert answer.status == 200, answer
        return answer.json

    def export(self, user: str, cursor: str | None = None, **parts: Any) -> Answer:
        query = None if cursor is None else {"cursor": cursor}
        path = f"/admin/users/{quote(user, safe='')}/export"
        answer = self("GET", path, query=query, **parts)
        assert answer.status == 200, answer
        return answer

    def exported(self, user: str, **parts: Any) -> list[list[dict[str, Any]]]:
        """Return the records of all pages."""
        pages, cursor = [], None
        while True:
            answer = self.export(user, cursor, **parts)
            pages.append([json.loads(line) for line in answer.body.splitlines()])
            if (cursor := answer.headers.get("next-cursor")) is None:
                return pages

    def one_by_one(self, path: str, **query: str) -> list[Any]:
        """Return the items of a list that is read with one on a page."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self("GET", path, query={**query, "limit": "1", **cursor})
            assert answer.status == 200, answer
            assert len(answer.json["items"]) <= 1
            found += answer.json["items"]
            if answer.json["next_cursor"] is None:
                return found
            cursor = {"cursor": answer.json["next_cursor"]}


@pytest.fixture
def admin(api: Api) -> Administrator:
    return Administrator(api)


@pytest.fixture
def aged(database: Database, memory: SqliteStore, sql: psycopg.Connection) -> Aged:
    return Aged(database, memory, sql)


@pytest.fixture
def turn(api: Api) -> str:
    """A turn of alice's in which a tool was called."""
    session_id = api.new_session()
    sent = api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"})
    turn_id: str = sent.json["turn"]["id"]
    return turn_id
