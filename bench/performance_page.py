"""The text of docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from bench import layers_page, restored_page
from bench.imported import SHOWN, STANDARD, Library
from bench.memories import LENGTHS
from bench.sending import DYNAMODB, FLOOR, LIMITED, PARLEY, PEER, Measured
from bench.starts import AGENTS, HELP, WITH_AGENTS, WITHOUT
from bench.starts import PEER as PEERS_START

if TYPE_CHECKING:
    from bench.performance import Figures

Say = Callable[[str], None]

_ROUTES = {
    "create": "`POST /sessions`",
    "get": "`GET /sessions/{id}`",
    "list": "`GET /sessions`",
}
_HEAD = """\
# Performance

This page is written by `make bench`; what it says was measured on {machine}. All of its
tables but [one](#where-the-processors-time-goes) come from that one command, which takes some ten
minutes. What it leaves out has commands of its own: packages that are deployed (`make bench-init`),
a million sessions (`make bench-scale`, [scale.md](scale.md)), cleaning up (`make bench-cleanup`),
streams (`make bench-stream`), and what all of it costs (`make bench-cost`, [cost.md](cost.md)).

Every figure is a median, and all sides take turns within one run: compare the ratios, not the
milliseconds, which a busy machine stretches. "CPU" is the processor's time in the process that
serves the request, without databases, relays and the model's server, and is the figure to trust
most. All of it runs on loopback; `+ 1 ms` means that a relay holds each round trip to Postgres, and
to what is asked of AWS, back by a millisecond, as a network within one region does.

What is compared:

- **Parley**: the functions' handlers, called with API Gateway's events, on the embedded Postgres;
  memory in SQLite, or in DynamoDB by moto, whose own slowness is in the time and not in the CPU.
  AWS's round trips are DynamoDB's and one to SQS, for the wake-up that takes over if the process
  dies.
- **The FastAPI peer** (`bench/peers/fastapi_app.py`): FastAPI and Mangum, called with the same
  events; it saves the user's message, runs the agent with the SDK's `SQLAlchemySession`, and saves
  the reply, with one engine on the same Postgres that is kept from request to request. It promises
  nothing when a process dies, a request is repeated or two come at once. The *limited* peer reads
  the newest 200 items only.
- **The bare Runner** (`bench/peers/bare_runner.py`): the floor, with memory in a list and no
  database.

All run the same agent with the same six tools, against the same model's server over HTTP, which
answers at once. Parley's window holds 120 to 200 items; the peer and the floor send the model all
that there was.
"""


def page(figures: Figures) -> str:
    """Return the page, in Markdown."""
    parts = [
        _HEAD.format(machine=figures.machine),
        "## Goals\n\n" + _goals(figures),
        "## Requests for sessions\n\n" + _simple(figures),
        layers_page.written(),
        "## Turns\n\n" + _turns(figures) + _lengths(figures),
        "![A turn, by the length of its session](pictures/performance-turns.png)\n",
        "## Memory\n\n" + _memories(figures),
        "![A turn's memory, by length](pictures/performance-memory.png)\n",
        "## Starting\n\n" + _starts(figures),
        restored_page.written(),
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _goals(figures: Figures) -> str:
    rows = []

    def goal(what: str, ratio: float, most: float, of: str) -> None:
        met = "met" if ratio <= most else "**not met**"
        rows.append([what, f"{ratio:.2f} × {of}", f"≤ {most:.2f} ×", met])

    for latency in (0, 1):
        for what in ("create", "list"):
            measured = figures.simple[latency, what]
            own, peer = measured.median(PARLEY), measured.median(PEER)
            with_latency = _with(latency)
            goal(f"{_ROUTES[what]}{with_latency}", own.wall / peer.wall, 0.7, "the peer's time")
            if not latency:
                goal(f"{_ROUTES[what]}, CPU", own.cpu / peer.cpu, 0.7, "the peer's")
    for latency in (0, 1):
        measured = figures.turns[latency, 100]
        ratio = measured.median(PARLEY).wall / measured.median(PEER).wall
        goal(f"a turn after 100{_with(latency)}", ratio, 0.15, "the peer's time")
    long, short = (figures.lengths[history].median(PARLEY).cpu for history in (1_000, 100))
    goal("a turn after 1,000, CPU", long / short, 1.2, "that after 100")
    agents = figures.starts[AGENTS].cpu
    for names, most, kind in ((WITH_AGENTS, 0.5, "runs"), (WITHOUT, 0.35, "runs no")):
        for name in names:
            ratio = figures.starts[name].cpu / agents
            goal(f"imports of `{name}`, which {kind} agents", ratio, most, "`import agents`")
    goal(f"`{HELP}`", figures.starts[HELP].cpu / agents, 0.25, "`import agents`")
    return _table(["what", "measured", "goal", ""], rows)


def _simple(figures: Figures) -> str:
    head = ["", "Parley", "CPU", "the peer", "CPU", "ratio", "of CPU", "round trips"]
    rows = []
    for (latency, what), measured in figures.simple.items():
        own, peer = measured.median(PARLEY), measured.median(PEER)
        trips = " / ".join(f"{measured.round_trips[side][0]:.0f}" for side in (PARLEY, PEER))
        rows.append(
            [
                _ROUTES[what] + _with(latency),
                *(f"{own.wall:.1f} ms", f"{own.cpu:.1f} ms"),
                *(f"{peer.wall:.1f} ms", f"{peer.cpu:.1f} ms"),
                *(f"{own.wall / peer.wall:.2f}", f"{own.cpu / peer.cpu:.2f}", trips),
            ]
        )
    return _table(head, rows)


def _turns(figures: Figures) -> str:
    text = ""
    tools = {(latency, 100): measured for latency, measured in figures.tools.items()}
    for title, measurements in (
        ("Without tools", figures.turns),
        ("With one call of a tool that writes", tools),
    ):
        rows = [
            row
            for (latency, history), measured in measurements.items()
            for row in _sides(measured, f"{history:,}{_with(latency)}")
        ]
        text += f"{title}:\n\n" + _table(
            [
                *("turns before", "side", "time", "CPU", "of the peer's time"),
                *("of its CPU", "of the floor's CPU", "Postgres / AWS round trips"),
            ],
            rows,
        )
        text += "\n"
    return text


def _lengths(figures: Figures) -> str:
    told = " and ".join(
        f"{of.median(PARLEY).cpu:.1f} ms of the processor after {history:,}"
        for history, of in figures.lengths.items()
    )
    return _LENGTHS.format(told=told)


_LENGTHS = """\
Parley's alone, in sessions of both lengths that take turns, six turns in each: {told}. The first
turn of a session takes a fifth longer than those behind it, however long it is: the tables have two
or three of each session, and fewer the longer it is.

"""


def _sides(measured: Measured, before: str) -> Iterable[list[str]]:
    peer, floor = measured.median(PEER), measured.median(FLOOR)
    for side in (PARLEY, DYNAMODB, PEER, LIMITED, FLOOR):
        if side in measured.costs:
            cost = measured.median(side)
            trips = " / ".join(f"{each:.1f}" for each in measured.round_trips[side])
            yield [
                *(before, side, f"{cost.wall:.0f} ms", f"{cost.cpu:.0f} ms"),
                *(f"{cost.wall / peer.wall:.2f}", f"{cost.cpu / peer.cpu:.2f}"),
                *(f"{cost.cpu / floor.cpu:.2f}", trips if side != FLOOR else ""),
            ]


def _memories(figures: Figures) -> str:
    rows = [
        [
            name,
            *(f"{of[turns].wall:.1f} ({of[turns].cpu:.1f})" for turns in LENGTHS),
        ]
        for name, of in figures.memories.items()
    ]
    text = (
        "Reading what came before, and writing the user's message and the reply; milliseconds, and"
        " those of the processor in brackets. The SDK's sessions read everything unless they are"
        " given a limit, and write twice, as the Runner does; Parley's stores read the newest 100"
        " turns, and write once, with a condition that keeps out an attempt that was replaced."
        " The SDK's `SQLAlchemySession` is on the same Postgres as the rest.\n"
    )
    if not figures.redis:
        text += "There was no Redis on this machine.\n"
    return text + "\n" + _table(["after so many turns", *(f"{n:,}" for n in LENGTHS)], rows)


def _starts(figures: Figures) -> str:
    agents = figures.starts[AGENTS]
    rows = [
        [
            f"`{name}`" if name != PEERS_START else name,
            *(f"{cost.cpu:.0f} ms", f"{cost.wall:.0f} ms", f"{cost.cpu / agents.cpu:.2f}"),
        ]
        for name, cost in figures.starts.items()
    ]
    text = _STARTING + "\n" + _table(["", "CPU", "time", "CPU, of `import agents`"], rows)
    for name, parts in figures.parts.items():
        rest = parts[SHOWN:]
        cpu, modules = sum(part.cpu for part in rest), sum(part.modules for part in rest)
        shown = [*parts[:SHOWN], Library("the rest", cpu, modules)]
        text += f"\nOf `{name}`, by library, each without what it imports of others:\n\n" + _table(
            ["", "CPU", "modules"],
            [[_library(part), f"{part.cpu:.0f} ms", part.modules] for part in shown],
        )
    return text


def _library(part: Library) -> str:
    return part.name if part.name in (STANDARD, "the rest") else f"`{part.name}`"


_STARTING = """\
The imports of each function's `app.py`, from the checkout with its byte code, beyond what Python
itself takes; `make bench-init` measures the packages that are deployed, under AWS's runtime
emulator. `awscrt`, `cryptography`, `OpenSSL` and `rich`, which libraries import where they are
there, are the tests', and are hidden here: the packages have none.

Where a function is above its goal, that is what is left. A function that runs agents needs the
SDK's loop, OpenAI's types of responses, Postgres and AWS: the SDK's own modules with those types
come to about as much as the goal alone. To come below it would take an SDK that does not import its
sandboxes for each run, and types that are not a class of Pydantic's each. One that runs none needs
SQLAlchemy, psycopg and Pydantic, nearly half of it, and Parley's own modules a quarter, most of
that for dataclasses and for models of Pydantic's, whose methods Python compiles at each start;
`cleanup` needs botocore besides. What was cut, and how, is told in
[the decision](decisions/the-sdk-imported-lean.md).
"""


def _with(latency: int) -> str:
    return f", + {latency} ms" if latency else ""
