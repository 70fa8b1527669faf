"""Rules of the recorder (turn-protocol, section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    function_tool,
)
from openai.types.responses import ResponseOutputItem, ResponseOutputMessage, ResponseOutputText
from pydantic import TypeAdapter

from parley.agents import registry
from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.repository.tool_calls import ToolCallRepository
from parley.runner import agent_run, approvals, execute, model_answer, prepare, recording_model
from parley.runner.approvals import ApprovalPolicy, approval
from parley.runner.guardrails import record_verdicts
from parley.runner.recording_model import RecordingModel, RecordingProvider
from parley.turns.context import TurnContext
from parley.turns.decide import Decider
from parley.turns.effects import Effects
from parley.turns.journal import Journal
from parley_testing.models.scripted import Items, by_model, call, in_order, say
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]
DOWN = StoreUnavailable("agent-session store", "down")
_ITEMS: TypeAdapter[list[ResponseOutputItem]] = TypeAdapter(list[ResponseOutputItem])


def added(sql: psycopg.Connection) -> int:
    (count,) = sql.execute("SELECT count(*) FROM tasks").fetchone() or (0,)
    return int(count)


async def interrupted(bench: Workbench) -> Any:
    """Send a message whose attempt ends when a store cannot serve; give it to be sent again."""
    asked = request(bench.new_session(), "add milk", key="k")
    with pytest.raises(StoreUnavailable):
        await bench.sender.send(asked, seconds=60)
    return asked


async def test_a_record_stands_where_its_call_stands(
    kept: bool, rule: Any, new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By order alone two agents that are used as tools get each other's answers."""

    def counted(journal: Journal, *_: str) -> str:
        place = journal._positions[()] = journal._positions.get((), -1) + 1
        return f"/{place}"

    rule.instead(Journal, "next_position", counted)
    b_has_answered = asyncio.Event()

    @function_tool
    async def look(text: str) -> str:
        """Look a text up; the first agent's takes longer."""
        if text == "x":
            await b_has_answered.wait()
        return f"found {text}"

    def from_b() -> Items:
        b_has_answered.set()
        return say("from b")

    def asks(name: str) -> Any:
        inner = Agent[TurnContext](name=name, model=name, tools=[look])
        return inner.as_tool(f"ask_{name}", f"Ask {name}.")

    script = by_model(
        {
            "default": in_order(
                call("ask_a", "call_a", input="x") + call("ask_b", "call_b", input="y"),
                DOWN,
                say("end"),
            ),
            "a": in_order(call("look", "call_1", text="x"), say("from a")),
            "b": in_order(call("look", "call_2", text="y"), from_b),
        }
    )
    bench = new_bench(script, agent=Agent[TurnContext](name="outer", tools=[asks("a"), asks("b")]))
    record = ToolCallRepository.record
    with monkeypatch.context() as patch:
        patch.setattr(  # it ends before the outer calls' own outputs are kept
            ToolCallRepository,
            "record",
            lambda self, turn, made: None if "ask" in made.name else record(self, turn, made),
        )
        asked = await interrupted(bench)

    await bench.sender.send(asked, seconds=60)

    items = bench.model.asked[-1].input
    outputs = {item["call_id"]: item["output"] for item in items if "output" in item}
    swapped = {"call_a": "from b", "call_b": "from a"}
    assert outputs == ({"call_a": "from a", "call_b": "from b"} if kept else swapped)


async def test_agents_that_are_handed_over_to_are_recorded(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without it what they had done cannot be carried on."""

    def first_only(provider: RecordingProvider, name: str | None) -> Any:
        model = provider._provider.get_model(name)
        return RecordingModel(model, provider._attempt) if name is None else model

    rule.instead(RecordingProvider, "get_model", first_only)
    second = registry.load("todo").clone(name="second", model="second", handoffs=[])
    script = by_model(
        {
            "default": in_order(call("transfer_to_second", "c1")),
            "second": in_order(call("add_task", "c2", title="milk"), DOWN, say("Added.")),
        }
    )
    bench = new_bench(script, agent=Agent[TurnContext](name="first", handoffs=[second]))
    asked = await interrupted(bench)

    code = await failure(bench.sender.send(asked, seconds=60))

    assert code == ("" if kept else "memory_unreadable")


async def test_a_response_is_not_made_to_fit_its_type(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """A round trip through the type refuses what lenient servers leave out."""
    response = recording_model._response

    def fitting(record: dict[str, Any]) -> Any:
        _ITEMS.validate_python(record["output"])
        return response(record)

    rule.instead(recording_model, "_response", fitting)
    said = ResponseOutputText.construct(type="output_text", text="hi")
    lenient = ResponseOutputMessage.construct(type="message", role="assistant", content=[said])
    bench = new_bench(in_order([lenient]))

    code = await failure(bench.send(bench.new_session()))

    assert (code == "") is kept


async def test_a_response_is_kept_as_it_came(kept: bool, rule: Any, new_bench: NewBench) -> None:
    """A round trip through the type sends the server back what it has never said."""
    rule.instead(model_answer, "_dictionary", lambda item: item.model_dump(mode="json"))
    thought, _ = say("It is sent back as it came only while the server's thoughts stand beside it.")
    bench = new_bench(in_order([thought, *call("list_tasks", "c1")], say("Nothing.")))

    await bench.send(bench.new_session())

    said = next(item for item in bench.model.asked[1].input if "arguments" in item)
    as_it_came = said.keys() == {"id", "type", "call_id", "name", "arguments"}
    assert as_it_came is kept


async def test_call_ids_are_minted_before_they_are_recorded(
    kept: bool, rule: Any, new_bench: NewBench, sql: psycopg.Connection
) -> None:
    """Afterwards, each attempt would know its calls by other ids, and make them again."""
    response, minted = recording_model._response, iter("abcd")

    def late(record: dict[str, Any]) -> Any:
        output = [
            {**item, "call_id": next(minted)} if "call_id" in item else item
            for item in record["output"]
        ]
        return response({**record, "output": output})

    rule.instead(recording_model, "_response", late)
    rule.instead(Journal, "resume", _believing_outputs)
    bench = new_bench(in_order(call("add_task", title="milk"), DOWN, say("Added.")))

    await bench.sender.send(await interrupted(bench), seconds=60)

    assert added(sql) == (1 if kept else 2)


async def test_the_output_of_a_tool_that_is_gone_is_given_by_call_id(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without it the model is told after a deploy that what it did could not be done."""
    rule.instead(agent_run, "tell_error", lambda _: None)
    bench = new_bench(in_order(call("add_task", title="milk"), DOWN, say("Added.")))
    asked = await interrupted(bench)
    bench.agent = Agent(name="todo")

    assert await failure(bench.sender.send(asked, seconds=60)) == ""

    assert ("milk" in bench.model.asked[-1].input[-1]["output"]) is kept


async def test_the_agents_structure_is_kept_with_its_records(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without the digest a deploy that breaks a turn looks like a fault of the model."""
    rule.instead(execute, "agent_digest", lambda _: "the same")
    second = Agent[TurnContext](name="second", model="second")
    script = by_model({"default": in_order(call("transfer_to_second")), "second": in_order(DOWN)})
    bench = new_bench(script, agent=Agent[TurnContext](name="first", handoffs=[second]))
    asked = await interrupted(bench)
    bench.agent = Agent(name="first")

    code = await failure(bench.sender.send(asked, seconds=60))

    assert code == ("agent_changed" if kept else "model_failed")


async def test_a_model_is_never_asked_afresh_over_what_has_happened(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any, sql: psycopg.Connection
) -> None:
    """Without it a turn whose records are gone does everything once more."""
    rule.instead(Journal, "resume", _believing_outputs)
    milk = call("add_task", title="milk")
    bench = new_bench(in_order(milk, DOWN, milk, say("Added.")))
    asked = await interrupted(bench)
    bench.store.forget(conversation_key("alice", asked.session_id))

    code = await failure(bench.sender.send(asked, seconds=60))

    assert code == ("memory_unreadable" if kept else "")
    assert added(sql) == (1 if kept else 2)


_resume = Journal.resume


def _believing_outputs(journal: Journal, records: Any, outputs: Any) -> None:
    _resume(journal, records, outputs)
    journal.call_ids |= outputs.keys()


def judged(judge: Any) -> Agent[TurnContext]:
    return registry.load("todo").clone(input_guardrails=[InputGuardrail(judge, name="judge")])


async def test_guardrails_are_asked_before_the_model(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    failure: Any,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside it, tools have their effects before the verdict that forbids them."""

    def beside(agent: Agent[Any]) -> None:
        record_verdicts(agent)
        for guardrail in agent.input_guardrails:
            guardrail.run_in_parallel = True

    rule.instead(prepare, "record_verdicts", beside)
    tool_is_done = asyncio.Event()

    async def judge(*_: Any) -> GuardrailFunctionOutput:
        if not kept:  # with the rule nothing runs beside, and nothing would come
            await tool_is_done.wait()
        return GuardrailFunctionOutput(None, tripwire_triggered=True)

    passed = Effects.in_transaction

    async def noted(effects: Effects, *arguments: Any, **named: Any) -> Any:
        output = await passed(effects, *arguments, **named)
        tool_is_done.set()
        return output

    monkeypatch.setattr(Effects, "in_transaction", noted)
    bench = new_bench(in_order(call("add_task", title="milk"), say("no")), agent=judged(judge))

    code = await failure(bench.send(bench.new_session()))

    assert code == "guardrail_tripped"
    assert added(sql) == (0 if kept else 1)


async def test_a_guardrails_verdict_is_recorded(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without it the next attempt may be judged otherwise, over effects that were let happen."""

    async def unrecorded(journal: Journal, position: str, verdict: Any) -> None:
        journal.verdicts[position] = verdict

    rule.instead(Journal, "record_verdict", unrecorded)
    judgements = iter([False, True])

    def judge(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, tripwire_triggered=next(judgements))

    script = in_order(call("add_task", title="milk"), DOWN, say("Added."))
    bench = new_bench(script, agent=judged(judge))
    asked = await interrupted(bench)

    code = await failure(bench.sender.send(asked, seconds=60))

    assert code == ("" if kept else "guardrail_tripped")


async def test_what_was_rejected_is_not_done_though_the_tool_would_not_ask_any_more(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """A policy that is asked again, after a deployment, would have what was rejected done.

    The look at the digest before the call, which is what stands behind it, then fails the turn.
    """
    rule.instead(approvals, "_InTurn", _AskedAgain)
    made: list[str] = []

    def paying(*, asks: bool) -> Agent[TurnContext]:
        @function_tool(needs_approval=approval(when=lambda *_: asks))
        def pay() -> str:
            """Pay."""
            made.append("paid")
            return "paid"

        return Agent[TurnContext](name="one", tools=[pay])

    bench = new_bench(in_order(call("pay"), say("Done.")), agent=paying(asks=True))
    session_id = bench.new_session()
    waiting = await bench.sender.send(request(session_id), seconds=60)
    (asked,) = waiting.view.approvals
    await Decider(bench.database).decide(asked.id, "rejected", by="alice", may=())
    bench.agent = paying(asks=False)

    await bench.session_worker.run_next(session_id, seconds=60)

    over = bench.transcript.turn("alice", session_id, waiting.view.turn.id)
    assert over.turn.error_code == (None if kept else "approval_not_carried_on")
    assert made == []


@dataclass(frozen=True)
class _AskedAgain:
    """What holds a tool to what was decided, without doing so."""

    given: Any
    policy: ApprovalPolicy

    async def __call__(self, *asked: Any) -> bool:
        return bool(await self.given(*asked))
