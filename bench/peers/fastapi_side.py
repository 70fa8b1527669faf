"""The FastAPI peer as a side of `bench.performance`."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from agents import set_tracing_disabled
from agents.extensions.memory import SQLAlchemySession
from bench.conversation import JSON, items
from bench.peers import fastapi_app
from bench.sides import Taken, serve, timed

from parley_testing.api.handlers import Answer, Context, rest_event


class FastApiSide:
    """Sends the app the events that API Gateway sends."""

    def prepare(self) -> None:
        """Make the tables."""
        _run(_make_tables())

    def fill(self, user: str, turns: int) -> str:
        """Make a session that has some turns, and return its id."""
        session_id = uuid4()
        _run(_fill(session_id, user, turns))
        return str(session_id)

    def create(self, times: int, user: str) -> Taken:
        """Make sessions."""
        return timed(lambda: _sent("POST", "/sessions", user, {"name": uuid4().hex}), times)

    def list(self, times: int, user: str) -> Taken:
        """List sessions."""
        return timed(lambda: _sent("GET", "/sessions", user), times)

    def get(self, times: int, user: str, session_id: str) -> Taken:
        """Look at a session."""
        return timed(lambda: _sent("GET", f"/sessions/{session_id}", user), times)

    def turn(self, times: int, user: str, session_id: str, text: str) -> Taken:
        """Send messages and wait for their replies."""
        path = f"/sessions/{session_id}/messages"
        return timed(lambda: _sent("POST", path, user, {"text": text}), times)


def _sent(method: str, path: str, user: str, body: Any = None) -> None:
    event = rest_event(method, path, body, user=user, headers=JSON)
    answer = Answer(fastapi_app.handler(event, Context()))
    assert answer.status in (200, 201), answer


async def _make_tables() -> None:
    async with fastapi_app.engine.begin() as connection:
        await connection.run_sync(fastapi_app.Base.metadata.create_all)
    session = SQLAlchemySession("first", engine=fastapi_app.engine, create_tables=True)
    await session.get_items()


async def _fill(session_id: UUID, user: str, turns: int) -> None:
    async with fastapi_app.sessions() as db:
        db.add(fastapi_app.Session(id=session_id, user_id=user, agent="todo"))
        await db.flush()
        for item in items(turns):
            said = fastapi_app.Message(
                session_id=session_id, role=item["role"], content=str(item["content"])
            )
            db.add(said)
        await db.commit()
    if turns:
        session = SQLAlchemySession(str(session_id), engine=fastapi_app.engine)
        await session.add_items(items(turns))


def _run(work: Any) -> Any:
    """Run it on the loop that Mangum uses."""
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(work)


if __name__ == "__main__":
    set_tracing_disabled(True)
    serve(FastApiSide())
