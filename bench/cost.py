"""What AWS charges for turns and for a month in which nobody comes, written into docs/cost.md.

    make bench-cost

What a turn asks of each service is counted: round trips and requests by relays, writes into
DynamoDB by moto, bytes by their sizes, the processor's time in the function's process. What a model
takes is assumed, and so is what stands in `Assumed`; prices are those of `aws_prices.toml`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from bench import conversation
from bench.instant_model import TOOL
from bench.migrated import migrated
from bench.sending import DYNAMODB, PEER, Sides, sides

from parley.memory.codec import pack_memory
from parley.memory.store import TurnMemory

ROOT = Path(__file__).parents[1]
_PRICES = tomllib.loads((Path(__file__).with_name("aws_prices.toml")).read_text(encoding="utf-8"))
FOUND: dict[str, str] = _PRICES.pop("found")
PRICES: dict[str, dict[str, float]] = _PRICES
TURNS = 1_000
HISTORY = 100
MODEL_SECONDS = (2, 10)
# Whole windows, so that each turn has its part in what a step of the window takes away.
_COUNTED = 40
_FEW = 8


@dataclass(frozen=True)
class Assumed:
    """What is not measured.

    Attributes:
        gigabytes: A function's memory, as the template has it.
        round_trip: Seconds to Postgres or to an AWS service, within the region.
        log_bytes: What a turn logs.
        event_writes: Writes of a stream's events, a second: `make bench-stream` counts them.
        workers_look: Seconds of a worker that comes for a wake-up whose turn is over.
        telling: Seconds of the processor to tell what a model says in a second.
        asked: Seconds of the processor of a request that only queues a turn, or looks at one.
        polls: How often the client of a turn in the background asks for it.
        hours: Of a month.
        watch: Seconds of a recovery, an escalation or a cleanup that finds nothing.
        queue_looks: How often Lambda asks the queue of wake-ups in a month: five pollers, each of
            which waits for 20 seconds.
    """

    gigabytes: float = 0.5
    round_trip: float = 0.001
    log_bytes: int = 2_000
    event_writes: float = 5
    workers_look: float = 0.02
    telling: float = 0.02
    asked: float = 0.01
    polls: int = 3
    hours: int = 730
    watch: float = 0.2
    queue_looks: int = 650_000


ASSUMED = Assumed()
# A function has a processor's part by its memory; all of one at 1,769 MB.
_PROCESSORS = ASSUMED.gigabytes * 1024 / 1769


@dataclass(frozen=True)
class Turn:
    """What was counted of one turn; means over many.

    Attributes:
        cpu: Seconds of the processor.
        postgres: Round trips to Postgres.
        aws: Requests to DynamoDB and SQS.
        writes: Of 1 KB each, into DynamoDB, of which `write_requests` were made.
    """

    cpu: float
    postgres: float
    aws: float
    writes: float
    write_requests: float

    @property
    def own_seconds(self) -> float:
        """How long it takes without the model."""
        return self.cpu / _PROCESSORS + (self.postgres + self.aws) * ASSUMED.round_trip


Cost = dict[str, float]
"""Dollars, by what they are for."""


def counted(started: Sides, side: str, text: str, times: int = _FEW) -> Turn:
    """Count what a turn takes."""
    told = len(started.aws.lines)
    measured = started.turns(
        HISTORY, rounds=1, times=times, text=text, without=set(started.sides) - {side}
    )
    # What was filled in bulk is told as well, in batches that no turn writes.
    lines = [
        line for line in started.aws.lines[told:] if line[0] != "BatchWriteItem" or line[1] < 9_000
    ]
    writes = sum(math.ceil(size * 0.75 / 1024) for _, size in lines)  # base64
    postgres, aws = measured.round_trips[side]
    cpu = statistics.mean(cost.cpu for cost in measured.costs[side]) / 1000
    return Turn(cpu, postgres, aws, writes / times, len(lines) / times)


def history_reads() -> float:
    """Return the reads of 4 KB that a history in DynamoDB takes, at its longest."""
    size = sum(
        len(pack_memory(TurnMemory(conversation.turn(n), reply=conversation.REPLY))) + 200
        for n in range(1, HISTORY + 1)
    )
    return math.ceil(size / 4096) / 2


def of_turns(turn: Turn, model: float, mode: str) -> Cost:
    """Return what a thousand turns cost.

    Args:
        turn: One of them.
        model: Seconds of the model.
        mode: `waited for`, `streamed` or `in the background`.
    """
    own = turn.own_seconds
    begin = ASSUMED.asked / _PROCESSORS + 3 * ASSUMED.round_trip
    invocations, requests, messages = 1.0, 1.0, 1.0
    writes = turn.writes
    ours = own
    if mode == "streamed":
        writes += ASSUMED.event_writes * model
        ours += ASSUMED.telling / _PROCESSORS * model
    if mode == "in the background":
        requests += ASSUMED.polls
        invocations += 1 + ASSUMED.polls
        messages = 3  # sent, received, deleted
        ours += begin * (1 + ASSUMED.polls)
    else:
        # The wake-up that is left for a crash: received and deleted, by a worker that finds nothing.
        invocations += 1
        messages += 2
        ours += ASSUMED.workers_look
    price = PRICES["lambda"]["gb_second"] * ASSUMED.gigabytes * TURNS
    return {
        "waiting for the model": price * model,
        "our own time": price * ours,
        "invocations": PRICES["lambda"]["million_requests"] * invocations * TURNS / 1e6,
        "API Gateway": PRICES["api_gateway"]["million_requests"] * requests * TURNS / 1e6,
        "DynamoDB": TURNS
        / 1e6
        * (
            PRICES["dynamodb"]["million_writes"] * writes
            + PRICES["dynamodb"]["million_reads"] * history_reads()
        ),
        "SQS": PRICES["sqs"]["million_requests"] * messages * TURNS / 1e6,
        "logs": PRICES["cloudwatch"]["gb_of_logs"] * ASSUMED.log_bytes * TURNS / 1e9,
    }


def of_peer(turn: Turn, model: float) -> Cost:
    """Return what a thousand turns cost the FastAPI peer on Lambda, which has memory in Postgres."""
    price = PRICES["lambda"]["gb_second"] * ASSUMED.gigabytes * TURNS
    return {
        "waiting for the model": price * model,
        "our own time": price * turn.own_seconds,
        "invocations": PRICES["lambda"]["million_requests"] * TURNS / 1e6,
        "API Gateway": PRICES["api_gateway"]["million_requests"] * TURNS / 1e6,
        "logs": PRICES["cloudwatch"]["gb_of_logs"] * ASSUMED.log_bytes * TURNS / 1e9,
    }


def of_agentcore(turn: Turn, model: float) -> Cost:
    """Return what a thousand turns cost on AgentCore, of sessions that end with their turn."""
    price = PRICES["agentcore"]
    seconds = turn.cpu + model
    return {
        "processor": TURNS * turn.cpu / 3600 * price["vcpu_hour"],
        "memory": TURNS * seconds / 3600 * price["gb_hour"] * ASSUMED.gigabytes,
        "events of memory": 2 * TURNS / 1000 * price["thousand_events"],
    }


def of_idle_container() -> float:
    """Return what a month of the smallest container costs, with its load balancer."""
    fargate, balancer = PRICES["fargate"], PRICES["load_balancer"]
    task = 0.25 * fargate["vcpu_hour"] + 0.5 * fargate["gb_hour"]
    return ASSUMED.hours * (task + balancer["hour"])


class _Loader(yaml.SafeLoader):
    """Reads a template without regard to its functions."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def _monitoring() -> dict[str, Any]:
    template = yaml.load((ROOT / "monitoring.yaml").read_text(encoding="utf-8"), _Loader)
    resources: dict[str, Any] = template["Resources"]
    return resources


def _alarms_of(thresholds: str) -> int:
    """Return the metrics that alarms look at, where `AlarmThresholds` is `small` or `large`."""
    without = {"small": "WatchesEachFunction", "large": "WatchesAllTogether"}[thresholds]
    return sum(
        len([one for one in each["Properties"].get("Metrics", []) if "MetricStat" in one]) or 1
        for each in _monitoring().values()
        if each["Type"] == "AWS::CloudWatch::Alarm" and each.get("Condition") != without
    )


def of_idle_month() -> list[tuple[str, float, float]]:
    """Return what a month costs in which nobody comes: what for, in full, beyond what is free."""
    looked_at = _alarms_of("small")
    resources = _monitoring()
    dashboards = sum(r["Type"] == "AWS::CloudWatch::Dashboard" for r in resources.values())
    price = PRICES["cloudwatch"]
    recoveries = ASSUMED.hours * 1.0 + ASSUMED.hours * 12 + 30  # hourly, escalations, cleanup
    seconds = recoveries * ASSUMED.watch * ASSUMED.gigabytes * PRICES["lambda"]["gb_second"]
    secrets = 2 * PRICES["secrets_manager"]["secret"]
    return [
        (
            f"alarms, which look at {looked_at} metrics",
            looked_at * price["alarm_metric"],
            max(0, looked_at - 10) * price["alarm_metric"],
        ),
        ("the dashboard", dashboards * price["dashboard"], 0.0),
        (f"{GAUGES} gauges", GAUGES * price["metric"], max(0, GAUGES - 10) * price["metric"]),
        ("two secrets", secrets, secrets),
        (
            "Lambda asking the queue of wake-ups",
            ASSUMED.queue_looks / 1e6 * PRICES["sqs"]["million_requests"],
            0.0,
        ),
        (
            "recovery, escalations and cleanup",
            seconds + recoveries / 1e6 * PRICES["lambda"]["million_requests"],
            0.0,
        ),
    ]


GAUGES = 12


def main() -> None:
    """Count, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    with migrated() as made, sides(made, [DYNAMODB, PEER]) as started:
        plain = counted(started, DYNAMODB, conversation.TEXT, _COUNTED)
        tool = counted(started, DYNAMODB, TOOL)
        peer = counted(started, PEER, conversation.TEXT)
    text = page(plain, tool, peer)
    (options.docs / "cost.md").write_text(text, encoding="utf-8")
    print(text)


def page(plain: Turn, tool: Turn, peer: Turn) -> str:
    """Return the page, in Markdown."""
    rows = []
    for model in MODEL_SECONDS:
        for mode in ("waited for", "streamed", "in the background"):
            cost = of_turns(plain, model, mode)
            rows.append(_row(f"{mode}, {model} s", cost))
    others = []
    for model in MODEL_SECONDS:
        for name, cost in (
            ("Parley, waited for", of_turns(plain, model, "waited for")),
            ("the same with a tool", of_turns(tool, model, "waited for")),
            ("the FastAPI peer on Lambda", of_peer(peer, model)),
            ("AgentCore, session ended with the turn", of_agentcore(peer, model)),
        ):
            others.append([f"{name}, {model} s", f"${sum(cost.values()):.3f}"])
    idle = of_idle_month()
    full, beyond = sum(each[1] for each in idle), sum(each[2] for each in idle)
    bare = beyond - idle[0][2] - idle[3][2]
    larger = (_alarms_of("large") - _alarms_of("small")) * PRICES["cloudwatch"]["alarm_metric"]
    ten, of_ten = _dominant(of_turns(plain, 10, "waited for"))
    return f"""\
# What AWS charges

This page is written by `make bench-cost`, from what a turn asks of each service, which is counted,
and from the prices in `bench/aws_prices.toml`: those of eu-west-1, **most of which were not looked
up** ([which were](#where-the-prices-come-from)). The model and Postgres are paid for besides, by
whoever serves them. Nothing here takes AWS's free allowances off, but where it says so.

Counted, of a turn after {HISTORY} others: {_told(plain)}. With one call of a tool: {_told(tool)}. Of
the FastAPI peer (`bench/peers/fastapi_app.py`): {_told(peer)}.

Assumed: functions of {ASSUMED.gigabytes * 1024:.0f} MB on arm64, in which the processor's time counts
{1 / _PROCESSORS:.1f} times; {ASSUMED.round_trip * 1000:.0f} ms a round trip; {ASSUMED.log_bytes:,} bytes of logs
a turn; {ASSUMED.event_writes:.0f} writes of events a second while a model speaks, who does so all the time;
{ASSUMED.polls} looks at a turn in the background; {ASSUMED.asked * 1000:.0f} ms of the processor for a request that only queues a turn,
or looks at one, and {ASSUMED.telling * 1000:.0f} for each second that a stream tells of; and {ASSUMED.workers_look * 1000:.0f} ms of the worker
that comes for the wake-up of a turn that is over. Of a month: {ASSUMED.hours} hours, {ASSUMED.watch * 1000:.0f} ms of each recovery,
escalation or cleanup that finds nothing, and {ASSUMED.queue_looks:,} times that Lambda asks the queue.

Left out: what is kept (memory, logs), bytes that leave AWS, and the metrics of turns, which are paid by the hour in
which they come and not by the turn: ${PRICES["cloudwatch"]["metric"]:.2f} a month each where turns come in every hour, twelve of them
where turns end in every way and eleven again for each agent (seven and six where all complete).

## A thousand turns

{_table(["", "all", *rows[0][1]], [[name, f"${sum(cost.values()):.3f}", *(f"${each:.4f}" for each in cost.values())] for name, cost in rows])}
A Lambda function is paid for while it waits: at 10 s of a model, {ten} is {of_ten:.0%} of it all. So
what moves the bill is, in this order:

- `MemorySize` (512 MB): the price of a second is in proportion to it. Less than 512 leaves less of a
  processor, and our own time grows as it falls.
- how long the model takes: a faster model, or a shorter answer, is cheaper on AWS too.
- `AgentSessionMaxMessages` (200): what is read of memory, and what the model is sent.
- streams: each second of one writes events for those who come back to it. A turn that nobody follows
  is cheaper waited for.

## Beside others

{_table(["a thousand turns", ""], others)}
The peer waits as we do and has no second store to pay, but promises nothing when it dies. AgentCore
charges no processor while the model is waited for; here its session ends with the turn, where by
default it stays for a quarter of an hour, whose memory costs
${900 / 3600 * PRICES["agentcore"]["gb_hour"] * ASSUMED.gigabytes * TURNS:.2f} for a thousand sessions. Two events of its memory are
counted a turn. A container of a quarter of a processor and half a gigabyte with a load balancer
costs ${of_idle_container():.2f} a month, whether anybody comes or not; at 2 s of a model that is what
{of_idle_container() / sum(of_turns(plain, 2, "waited for").values()) * 1000:,.0f} turns cost here.

## A month in which nobody comes

{_table(["", "in full", "beyond what is always free"], [[name, f"${a:.2f}", f"${b:.2f}"] for name, a, b in [*idle, ("**together**", full, beyond)]])}
Free for each account for good are ten metrics that alarms look at, three dashboards, ten metrics of
one's own, a million requests to SQS and to Lambda each and 400,000 GB-seconds; other stacks of the
account may have used them. The goal of $3 a month is {"met" if beyond < 3 else "not met"} as it is deployed, beyond these allowances. With
both secrets as SSM parameters (`DatabaseSecretArn` and `OpenAiSecretArn` take either) it is
${beyond - idle[3][2]:.2f}, and with `Monitoring=false` besides ${bare:.2f}. In an account whose allowances other stacks use up, it
is {"under" if full < 3 else "over"} $3 with monitoring, whose dashboard alone takes that. `AlarmThresholds=large` watches each
function by itself, for ${larger:.2f} more.

## Where the prices come from

AWS's price list was not read. What is not looked up is written down from knowledge, of November 2026;
[AWS's pages](https://aws.amazon.com/pricing/) decide.

{_table(["", "dollars", "from"], [_sourced(service) for service in PRICES])}"""


def _sourced(service: str) -> list[str]:
    prices = ", ".join(
        f"{name.replace('_', ' ')} {price:.10f}".rstrip("0").rstrip(".")
        for name, price in PRICES[service].items()
    )
    return [service.replace("_", " "), prices, FOUND[service]]


def _row(name: str, cost: Cost) -> tuple[str, Cost]:
    return name, cost


def _dominant(cost: Cost) -> tuple[str, float]:
    name = max(cost, key=lambda each: cost[each])
    return name, cost[name] / sum(cost.values())


def _told(turn: Turn) -> str:
    return (
        f"{turn.cpu * 1000:.0f} ms of the processor, {turn.postgres:.1f} round trips to Postgres,"
        f" {turn.aws:.1f} requests to DynamoDB and SQS, {turn.writes:.1f} writes of a kilobyte"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    main()
