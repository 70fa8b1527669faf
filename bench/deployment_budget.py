"""What a budget of all users together costs: turns of many users, with its one row and without.

    make bench-deployment-budget

Each of as many connections as asked for begins and completes turns of a user of its own as fast as
it can, for some seconds: without budgets, with one of each user, and with one of all users besides.
Each figure is of all connections together, and the best of the rounds. With `--commit` each commit
takes so many milliseconds, as where the database writes over a network.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from threading import Barrier, Thread

from bench.migrated import migrated

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.repository.turns import NewSession, TurnRepository, TurnRequest, Usage
from parley_testing.postgres.databases import connect

_MANY = 10**14
BUDGETS = {
    "no budget": UserBudget(),
    "of each user": UserBudget(tokens_per_month=_MANY),
    "of all users too": UserBudget(tokens_per_month=_MANY, all_tokens_per_month=_MANY),
}


def turns_of(url: str, budget: UserBudget, users: list[str], seconds: float) -> list[float]:
    """Begin and complete turns, a thread for each user, and give how long each begin took."""
    barrier = Barrier(len(users))
    taken: list[list[float]] = [[] for _ in users]

    def run(number: int, user: str) -> None:
        database = Database(lambda: url, statement_timeout=30, pool_size=1)
        turns = TurnRepository(database, window=100, budget=budget)
        opens = NewSession("todo", user, "api", {})
        barrier.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun_at = time.perf_counter()
            request = TurnRequest(user, new_id(), new_id(), new_id(), "hi", None, b"", opens=opens)
            turn = turns.begin(request).turn
            taken[number].append(time.perf_counter() - begun_at)
            if turn is not None:
                turns.complete(turn, "hi", Usage(1, 10, 10), None)
        database.close()

    threads = [Thread(target=run, args=(number, user)) for number, user in enumerate(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(chain.from_iterable(taken))


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that were not forked from this one."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as made:
        list(made.map(os.getpgid, [0] * processes))
        yield made


def main() -> None:
    """Measure, and print a line for each budget."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commit", type=float, default=0, help="milliseconds")
    asked = parser.parse_args()
    with migrated() as made, pool(asked.processes) as processes:
        with connect(made.owner_url) as sql:
            for setting, value in (("delay", int(asked.commit * 1000)), ("siblings", 0)):
                sql.execute(f"ALTER SYSTEM SET commit_{setting} = {value}")
            sql.execute("SELECT pg_reload_conf()")
        users = [f"user-{number}" for number in range(asked.connections)]
        shares = [users[number :: asked.processes] for number in range(asked.processes)]
        best: dict[str, tuple[float, float, float]] = {}
        for _ in range(asked.rounds):
            for name, budget in BUDGETS.items():
                running = [
                    processes.submit(turns_of, made.runtime_url, budget, share, asked.seconds)
                    for share in shares
                ]
                times = sorted(chain.from_iterable(each.result() for each in running))
                found = (
                    len(times) / asked.seconds,
                    times[len(times) // 2] * 1000,
                    times[len(times) * 99 // 100] * 1000,
                )
                best[name] = max(best.get(name, (0.0, 0.0, 0.0)), found)
    for name, (rate, median, slow) in best.items():
        print(f"{name:18} {rate:7.0f} turns a second; a begin {median:6.1f} ms, 99 % {slow:6.1f}")


if __name__ == "__main__":
    main()
