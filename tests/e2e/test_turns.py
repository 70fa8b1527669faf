"""Turns of the packaged `messages` function, with a model over HTTP and memory in DynamoDB."""

from __future__ import annotations

import psycopg
import pytest

from parley_testing.account.moto import Account
from parley_testing.models.server import Called, ModelServer, Said, in_order
from parley_testing.packaged.deployment import Deploy, Deployment

MESSAGES = "/sessions/{session_id}/messages"


def test_a_tool_has_its_effect_and_the_next_turn_remembers_the_call(
    deployment: Deployment,
    model: ModelServer,
    sql: psycopg.Connection,
    account: Account,
    memory_table: str,
) -> None:
    model.script = in_order(
        Called("add_task", {"title": "buy milk"}), Said("I have added it."), Said("Buy milk.")
    )
    session = deployment.send("POST", "/sessions", {}).json["id"]

    first = deployment.send("POST", MESSAGES, {"text": "add buy milk"}, session=session)
    second = deployment.send("POST", MESSAGES, {"text": "what did I say?"}, session=session)

    assert (first.status, second.status) == (201, 201), (first, second)
    assert first.json["reply"]["content"] == "I have added it."
    assert sql.execute("SELECT user_id, title FROM tasks").fetchall() == [("alice", "buy milk")]
    kinds = [item.get("type", "message") for item in model.asked[-1].input]
    assert kinds == [
        "message", "function_call", "function_call_output", "message", "message",
    ]  # fmt: skip
    assert len(account.items(memory_table)) == 2


def test_twenty_turns_in_a_row_go_through_one_warm_process(
    deployment: Deployment, model: ModelServer
) -> None:
    model.script = lambda asked: Said(f"reply {len(model.asked)}")
    session = deployment.send("POST", "/sessions", {}).json["id"]
    processes = set()

    for number in range(1, 21):
        answer = deployment.send("POST", MESSAGES, {"text": "next"}, session=session)
        processes.add(deployment["Messages"].runtime_pid)

        assert answer.status == 201, answer
        assert answer.json["reply"]["content"] == f"reply {number}"
    assert len(processes) == 1
    assert len({asked.connection for asked in model.asked}) == 1


@pytest.mark.at_length("nearly all of integration/ runs with it, and without a key")
def test_the_offline_model_needs_no_server(deploy: Deploy, model: ModelServer) -> None:
    deployment = deploy(OFFLINE_MODEL="true", OPENAI_SECRET_ARN="")

    answer = deployment.send("POST", "/messages", {"text": "add buy milk"})

    assert answer.status == 201, answer
    assert "buy milk" in answer.json["reply"]["content"]
    assert model.asked == []
