"""Deployments whose ways to the stores can be broken, and patience without pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from parley import retry, threads
from parley.memory.sqlite import SqliteStore
from parley_testing.api.handlers import Answer
from parley_testing.postgres.postgres_place import (
    OPERATIONS,
    Conversation,
    Operation,
    Place,
    deployed,
)


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """As many tries as ever, without the pauses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "PAUSES", (0.0, 0.0, 0.0))
        patch.setattr(threads, "PAUSES", (0.0, 0.0))
        yield


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file."""
    return tmp_path_factory.mktemp("stores") / "memory.db"


@pytest.fixture(scope="module")
def new_place(
    new_database: Callable[[], str], memory: Path, wakeups_unread: Mapping[str, str]
) -> Any:
    """Makes places with their memory in the SQLite file."""

    def make(isolation: str = "read committed") -> Any:
        settings = {
            **wakeups_unread,
            "AGENT_SESSION_STORE": "sqlite",
            "AGENT_SESSION_DB_PATH": str(memory),
        }
        return deployed(new_database(), store, settings, isolation=isolation)

    with closing(SqliteStore(memory)) as store:
        yield make


@pytest.fixture(scope="module")
def place(new_place: Any) -> Iterator[Place]:
    """One place for all tests of a module, each with a user of its own."""
    with new_place() as place:
        yield place


@pytest.fixture(scope="module")
def undisturbed(place: Place) -> dict[str, Any]:
    """What a conversation leaves that nothing happens to, by what is said in it."""

    def left(text: str) -> dict[str, Any]:
        talk = place.conversation()
        assert [talk.say(text).status, talk.say("list").status] == [201, 201]
        return talk.state()

    return {text: left(text) for text in ("help", "add milk")}


@pytest.fixture
def talk(place: Place, undisturbed: dict[str, Any]) -> Conversation:
    """A conversation with one turn; nothing is broken yet."""
    place.wire.restore()
    return place.conversation()


@pytest.fixture
def as_undisturbed(
    undisturbed: dict[str, Any],
) -> Callable[[Conversation, Operation, Answer], None]:
    """Sees that it is as if nothing had happened, and that the conversation goes on."""

    def look(talk: Conversation, operation: Operation, answer: Answer) -> None:
        if operation.path == "/sessions":
            named = talk.place.api("GET", "/sessions", user=talk.user, query={"name": "n"})
            assert [session["id"] for session in named.json["items"]] == [answer.json["id"]]
            return
        if operation is OPERATIONS["delete"]:
            assert talk.get().status == 404
            outbox = "SELECT count(*) FROM memory_deletions WHERE conversation LIKE %s"
            assert talk.place.sql.execute(outbox, [f"%{talk.session_id}"]).fetchone() == (1,)
            return
        if operation is OPERATIONS["transcript"]:
            said = [message["content"] for message in answer.json["items"]]
            assert said == ["[offline model] Added “bread”.", "add bread"]
        if operation is OPERATIONS["change"]:
            assert answer.json["name"] == talk.get().json["name"] == "n"
        if operation is OPERATIONS["clear"]:
            assert talk.get("/memory").json["turns"] == 0
        assert talk.say("list").status == 201
        if operation.method == "POST":
            assert talk.state() == undisturbed[operation.body["text"]]

    return look
