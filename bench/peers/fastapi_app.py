"""The backend that one writes first: FastAPI and Mangum around the SDK's `SQLAlchemySession`.

The user's message is saved, the agent runs, the reply is saved; what the agent remembers is in the
same Postgres. The engine is made once, keeps one connection, and is used again by each request of a
warm function; nothing is asked twice. `DATABASE_URL` names the database, `HISTORY_LIMIT` how many
items of the history are read (all, where it is not set).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from agents import Runner, SessionSettings
from agents.extensions.memory import SQLAlchemySession
from bench.peers.agent import Task, agent
from fastapi import Depends, FastAPI, HTTPException, Request
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, DateTime, ForeignKey, Index, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=1, max_overflow=4)
sessions = async_sessionmaker(engine, expire_on_commit=False)
limit = os.environ.get("HISTORY_LIMIT")
settings = SessionSettings(limit=int(limit) if limit else None)


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Maps Python's types to Postgres's."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSON}  # noqa: RUF012


class Session(Base):
    """A conversation."""

    __tablename__ = "sessions"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str]
    agent: Mapped[str]
    name: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="active")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_activity_at: Mapped[datetime] = mapped_column(default=now)
    __table_args__ = (Index("ix_sessions_activity", "user_id", "last_activity_at"),)


class Message(Base):
    """What somebody said."""

    __tablename__ = "messages"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    role: Mapped[str]
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    __table_args__ = (Index("ix_messages_session", "session_id", "created_at"),)


class TaskRow(Base):
    """Something to do."""

    __tablename__ = "tasks"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str] = mapped_column(index=True)
    title: Mapped[str]
    notes: Mapped[str | None]
    due_at: Mapped[datetime | None]
    completed: Mapped[bool] = mapped_column(default=False)


class NewSession(BaseModel):
    """What a session is made from."""

    agent: str = "todo"
    name: str | None = Field(None, max_length=200)
    details: dict[str, Any] = Field(default_factory=dict)


class ShownSession(BaseModel):
    """A session."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    agent: str
    name: str | None
    status: str
    details: dict[str, Any]
    created_at: datetime
    last_activity_at: datetime


class NewMessage(BaseModel):
    """What a user says."""

    text: str = Field(min_length=1, max_length=32_000)


class ShownMessage(BaseModel):
    """What was said."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    role: str
    content: str
    created_at: datetime


class Exchange(BaseModel):
    """A message and its reply."""

    message: ShownMessage
    reply: ShownMessage


class OwnTasks:
    """A user's tasks, in the database."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id

    async def add(self, title: str, notes: str | None, due_at: datetime | None) -> Task:
        async with sessions() as db:
            task = TaskRow(user_id=self._user_id, title=title, notes=notes, due_at=due_at)
            db.add(task)
            await db.commit()
        return shown(task)

    async def all(self, completed: bool | None, text: str | None) -> list[Task]:
        query = select(TaskRow).where(TaskRow.user_id == self._user_id).limit(100)
        if completed is not None:
            query = query.where(TaskRow.completed == completed)
        if text is not None:
            query = query.where(TaskRow.title.icontains(text, autoescape=True))
        async with sessions() as db:
            return [shown(task) for task in await db.scalars(query)]

    async def change(self, task_id: UUID, changes: dict[str, Any]) -> Task:
        async with sessions() as db:
            task = await self._own(db, task_id)
            for field, value in changes.items():
                setattr(task, field, value)
            await db.commit()
        return shown(task)

    async def remove(self, task_id: UUID) -> Task:
        async with sessions() as db:
            task = await self._own(db, task_id)
            await db.delete(task)
            await db.commit()
        return shown(task)

    async def _own(self, db: AsyncSession, task_id: UUID) -> TaskRow:
        task = await db.get(TaskRow, task_id)
        if task is None or task.user_id != self._user_id:
            raise LookupError(f"no such task: {task_id}")
        return task


def shown(task: TaskRow) -> Task:
    """Show a task to the model."""
    return {
        "task_id": str(task.id),
        "title": task.title,
        "notes": task.notes,
        "due_at": task.due_at.isoformat() if task.due_at else None,
        "completed": task.completed,
    }


async def database() -> AsyncIterator[AsyncSession]:
    """Open a session of the database for one request."""
    async with sessions() as db:
        yield db


def user(request: Request) -> str:
    """Tell who asks, as API Gateway's authorizer says."""
    return str(request.scope["aws.event"]["requestContext"]["authorizer"]["user_id"])


Db = Annotated[AsyncSession, Depends(database)]
User = Annotated[str, Depends(user)]

app = FastAPI()


@app.post("/sessions", status_code=201)
async def create(new: NewSession, db: Db, user: User) -> ShownSession:
    """Make a session."""
    session = Session(user_id=user, agent=new.agent, name=new.name, details=new.details)
    db.add(session)
    await db.commit()
    return ShownSession.model_validate(session)


@app.get("/sessions")
async def listed(db: Db, user: User, limit: int = 20) -> list[ShownSession]:
    """List the user's sessions, the last used first."""
    query = select(Session).where(Session.user_id == user)
    found = await db.scalars(query.order_by(Session.last_activity_at.desc()).limit(limit))
    return [ShownSession.model_validate(session) for session in found]


async def own(db: AsyncSession, session_id: UUID, user: str) -> Session:
    """Find the user's session."""
    session = await db.get(Session, session_id)
    if session is None or session.user_id != user:
        raise HTTPException(404, "There is no such session.")
    return session


@app.get("/sessions/{session_id}")
async def one(session_id: UUID, db: Db, user: User) -> ShownSession:
    """Show a session."""
    return ShownSession.model_validate(await own(db, session_id, user))


@app.post("/sessions/{session_id}/messages", status_code=201)
async def send(session_id: UUID, new: NewMessage, db: Db, user: User) -> Exchange:
    """Save the user's message, run the agent, save the reply."""
    session = await own(db, session_id, user)
    message = Message(session_id=session_id, role="user", content=new.text)
    session.last_activity_at = now()
    db.add(message)
    await db.commit()
    result = await Runner.run(
        agent,
        new.text,
        context=OwnTasks(user),
        session=SQLAlchemySession(str(session_id), engine=engine, session_settings=settings),
    )
    reply = Message(session_id=session_id, role="assistant", content=str(result.final_output))
    db.add(reply)
    await db.commit()
    return Exchange(
        message=ShownMessage.model_validate(message), reply=ShownMessage.model_validate(reply)
    )


handler = Mangum(app, lifespan="off")
