"""What memory takes a turn, at lengths of its conversation: Parley's stores beside the SDK's."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack

from bench.migrated import Migrated
from bench.peers.redis_server import redis_server
from bench.sending import CREDENTIALS, on_port, socket_of
from bench.sides import Cost, Side, relay
from bench.stream_setup import BENCH, Child

LENGTHS = (10, 100, 1_000, 10_000)
"""Of conversations, in turns."""

PARLEY = ("Parley, SQLite", "Parley, DynamoDB on moto")
_DATABASE = "memories"
_MODULE = "bench.memories_side"

Taken = dict[str, dict[int, Cost]]
"""What a turn takes, by memory and length."""


def memories(made: Migrated, rounds: int, times: int) -> tuple[Taken, bool]:
    """Measure all of them.

    Returns:
        What a turn takes, and whether there was a Redis.
    """
    with ExitStack() as stack:
        aws = Child(stack, str(BENCH / "counted_aws.py"), env=os.environ | CREDENTIALS)
        redis = stack.enter_context(redis_server(made.folder / "redis"))
        made.server.create_database(_DATABASE)
        # asyncpg wants a port; the server has a socket only.
        port = stack.enter_context(relay(socket_of(made.owner_url))).port
        url = on_port(made.server.url(_DATABASE), port, "postgresql+asyncpg")
        own = {**CREDENTIALS, "BENCH_MEMORY": "parley"}
        sides = [
            Side(PARLEY[0], _MODULE, own | {
                "AGENT_SESSION_STORE": "sqlite",
                "AGENT_SESSION_DB_PATH": str(made.folder / "memories.db"),
            }),
            Side(PARLEY[1], _MODULE, own | {
                "AGENT_SESSION_STORE": "dynamodb",
                "AGENT_SESSION_TABLE": "memory",
                "AWS_ENDPOINT_URL": json.loads(aws.first)["url"],
            }),
            Side("SQLiteSession", _MODULE, {
                "BENCH_MEMORY": "sqlite",
                "BENCH_SQLITE": str(made.folder / "sdk.db"),
            }),
            Side("SQLAlchemySession", _MODULE, {
                "BENCH_MEMORY": "sqlalchemy",
                "DATABASE_URL": url,
            }),
        ]  # fmt: skip
        if redis is not None:
            sides.append(
                Side("RedisSession", _MODULE, {
                    "BENCH_MEMORY": "redis",
                    "REDIS_URL": f"redis://127.0.0.1:{redis}",
                })
            )  # fmt: skip
        for side in sides:
            stack.enter_context(side)
        return _taken(sides, rounds, times), redis is not None


def _taken(sides: list[Side], rounds: int, times: int) -> Taken:
    # Parley's stores are always read with a bound; the SDK's sessions read all unless told.
    ways = [
        (side, limited, side.name + (", newest 200" if limited and of_sdk else ""))
        for side in sides
        for of_sdk in [side.name not in PARLEY]
        for limited in ([True, False] if of_sdk else [True])
    ]
    costs: dict[str, dict[int, list[Cost]]] = {name: {} for _, _, name in ways}
    for turns in LENGTHS:
        filled = {side.name: side.ask("fill", turns=turns) for side in sides}
        number = turns + 1
        for at in range(rounds + 1):  # the first is not counted
            for side, limited, name in ways:
                taken = side.cost(
                    "turn",
                    conversation=filled[side.name],
                    turns=turns,
                    number=number,
                    times=times,
                    limited=limited,
                )
                number += times
                if at:
                    costs[name].setdefault(turns, []).extend(taken)
    return {
        name: {turns: Cost.median(each) for turns, each in of.items()} for name, of in costs.items()
    }
