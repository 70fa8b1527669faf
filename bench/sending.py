"""What requests take: Parley's functions beside the FastAPI peer and the bare Runner.

Each side is a process of its own on a Postgres of the same server, and each asks the same model's
server. The relays before Postgres and before DynamoDB count round trips and make them longer.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from bench.conversation import TEXT
from bench.instant_model import TOOL
from bench.migrated import Migrated
from bench.sides import Cost, Counting, Side, relay
from bench.stream_setup import BENCH, Child

PARLEY, DYNAMODB, PEER, LIMITED, FLOOR = (
    "Parley, SQLite",
    "Parley, DynamoDB",
    "FastAPI peer",
    "the peer, limited",
    "bare Runner",
)
ALL = (PARLEY, DYNAMODB, PEER, LIMITED, FLOOR)
CREDENTIALS = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
_PEERS_DATABASE = "peer"
# Items that the limited peer reads: as many as Parley's window has.
_LIMIT = 200


@dataclass
class Measured:
    """What one kind of request took.

    Attributes:
        costs: Of each side, all of them.
        round_trips: Of each side, to Postgres and to the store, for one request.
    """

    costs: dict[str, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    round_trips: dict[str, tuple[float, float]] = field(default_factory=dict)

    def median(self, side: str) -> Cost:
        """Return what a request of a side takes."""
        return Cost.median(self.costs[side])


Lengths = dict[int, Measured]
"""What turns took, by how many their session had had before."""


class Sides:
    """All sides, started.

    Attributes:
        sides: By name.
        aws: Tells what is written into DynamoDB.
    """

    def __init__(
        self, sides: dict[str, Side], postgres: Counting, store: Counting, aws: Child
    ) -> None:
        self.sides = sides
        self.aws = aws
        self._postgres = postgres
        self._store = store

    def latency(self, milliseconds: float) -> None:
        """Have each round trip last longer from now on."""
        self._postgres.round_trips(milliseconds)
        self._store.round_trips(milliseconds)

    def simple(self, what: str, rounds: int, times: int) -> Measured:
        """Measure requests for sessions.

        Args:
            what: `create`, `list` or `get`.
            rounds: How often each side has its turn.
            times: How many requests that is.
        """
        measured = Measured()
        chosen = [name for name in self.sides if name not in (FLOOR, LIMITED)]
        users = {name: f"user-{uuid4().hex}" for name in chosen}
        known = {name: self.sides[name].ask("fill", user=users[name], turns=0) for name in chosen}
        for name in chosen:
            self.sides[name].cost("create", times=25, user=users[name])
        for _ in range(rounds):
            for name in chosen:
                how = {"session_id": known[name]} if what == "get" else {}
                user = f"user-{uuid4().hex}" if what == "create" else users[name]
                asked = {"what": what, "times": times, "user": user, **how}
                self._measure(measured, name, times, asked)
        return measured

    def turns(
        self, history: int, rounds: int, times: int, text: str = TEXT, without: Collection[str] = ()
    ) -> Measured:
        """Measure turns in sessions that had some before; each round in a session of its own.

        Args:
            history: How many turns each session has.
            rounds: How often each side has its turn.
            times: How many turns that is.
            text: What the user says.
            without: Sides that are left out.
        """
        measured = Measured()
        chosen = [name for name in self.sides if name not in without]
        filled = {}
        for name in chosen:
            for at in range(rounds):
                user = f"user-{uuid4().hex}"
                filled[name, at] = user, self.sides[name].ask("fill", user=user, turns=history)
        for name in {PARLEY, DYNAMODB} & set(chosen):
            self.sides[name].ask("analyze")
        for at in range(rounds):
            for name in chosen:
                user, session_id = filled[name, at]
                self._measure(
                    measured,
                    name,
                    times,
                    {
                        "what": "turn",
                        "times": times,
                        "user": user,
                        "session_id": session_id,
                        "text": text,
                    },
                )
        return measured

    def lengths(self, histories: Collection[int], rounds: int, times: int) -> Lengths:
        """Measure turns of Parley's alone, in sessions of several lengths that take turns.

        The first turn of a session takes a fifth longer than those behind it, whose pages are read
        by then: each length has as many first ones as the others.

        Args:
            histories: How many turns the sessions have.
            rounds: How many sessions of each.
            times: How many turns in each.
        """
        lengths: Lengths = {history: Measured() for history in histories}
        sessions = [(history, f"user-{uuid4().hex}") for _ in range(rounds) for history in lengths]
        side = self.sides[PARLEY]
        ids = {user: side.ask("fill", user=user, turns=history) for history, user in sessions}
        side.ask("analyze")
        for history, user in sessions:
            asked = {"what": "turn", "times": times, "user": user, "session_id": ids[user]}
            self._measure(lengths[history], PARLEY, times, {**asked, "text": TEXT})
        return lengths

    def _measure(self, measured: Measured, name: str, times: int, asked: Mapping[str, Any]) -> None:
        self._postgres.round_trips()
        self._store.round_trips()
        measured.costs[name] += self.sides[name].cost(**asked)
        trips = self._postgres.round_trips() / times, self._store.round_trips() / times
        measured.round_trips[name] = trips


def socket_of(url: str) -> str:
    """Return the path of the socket that a database's URL names."""
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


def on_port(url: str, port: int, driver: str = "postgresql+psycopg") -> str:
    """Return the URL of the same database on a port of loopback."""
    parts = urlsplit(url)
    user = parts.netloc.partition("@")[0]
    bare = "ssl=disable" if driver.endswith("asyncpg") else "sslmode=disable&gssencmode=disable"
    return f"{driver}://{user}@127.0.0.1:{port}{parts.path}?{bare}"


@contextmanager
def sides(made: Migrated, names: Collection[str] = ALL) -> Iterator[Sides]:
    """Start the sides of these names and what they need, and end it."""
    with ExitStack() as stack:
        model = Child(stack, str(BENCH / "instant_model.py"))
        aws = Child(stack, str(BENCH / "counted_aws.py"), env=os.environ | CREDENTIALS)
        told = json.loads(aws.first)
        made.server.create_database(_PEERS_DATABASE)
        postgres = stack.enter_context(relay(socket_of(made.owner_url)))
        store = stack.enter_context(relay(told["url"].removeprefix("http://")))
        shared = {
            **CREDENTIALS,
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": model.first,
            "OPENAI_MODEL": "scripted",
            "OPENAI_DEFAULT_MODEL": "scripted",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }
        own = {
            **shared,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}",
            "WAKE_QUEUE_URL": told["queue"],
            "AGENT_SESSION_TABLE": "memory",
            "AGENT_SESSION_DB_PATH": str(made.folder / "memory.db"),
            "DATABASE_RUNTIME_URL": on_port(made.runtime_url, postgres.port),
            "BENCH_OWNER_URL": made.owner_url,
        }
        peer = on_port(made.server.url(_PEERS_DATABASE), postgres.port, "postgresql+asyncpg")
        limited = {"DATABASE_URL": peer, "HISTORY_LIMIT": str(_LIMIT)}
        modules = {
            PARLEY: ("bench.parley_side", own | {"AGENT_SESSION_STORE": "sqlite"}),
            DYNAMODB: ("bench.parley_side", own | {"AGENT_SESSION_STORE": "dynamodb"}),
            PEER: ("bench.peers.fastapi_side", shared | {"DATABASE_URL": peer}),
            LIMITED: ("bench.peers.fastapi_side", shared | limited),
            FLOOR: ("bench.peers.bare_runner", shared),
        }
        started = {name: Side(name, *modules[name]) for name in names}
        for side in started.values():
            stack.enter_context(side)
        made_sides = Sides(started, postgres, store, aws)
        for side in started.values():
            side.ask("prepare")
        for text in (TEXT, TOOL):
            made_sides.turns(3, rounds=1, times=5, text=text)
        yield made_sides
