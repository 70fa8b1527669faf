"""A walk over every operation of the API that the repository's project serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley_testing.api.served import served_document

NAME_OF_BOTH = "groceries"

# For the paths: ids of nothing that there is.
NOTHINGS: Mapping[str, str] = {
    name: "01939d5c-2c00-7000-8000-0000000000ff"
    for name in ("session_id", "turn_id", "task_id", "user_id", "approval_id")
}

# What each operation is sent. One that is not here has no test yet: say what it needs.
BODIES: Mapping[str, Any] = {
    "createSession": {"name": NAME_OF_BOTH},
    "listSessions": None,
    "readSession": None,
    "changeSession": {"name": "stolen", "metadata": {"was": "here"}},
    "deleteSession": None,
    "sendMessage": {"text": "add steal the milk"},
    "sendFirstMessage": {"text": "add bread", "session_name": NAME_OF_BOTH},
    "streamMessage": {"text": "add steal the milk"},
    "streamFirstMessage": {"text": "add butter", "session_name": NAME_OF_BOTH},
    "followTurn": None,
    "runAgent": {
        "threadId": NAME_OF_BOTH,
        "runId": "run-1",
        "messages": [{"role": "user", "content": "add jam"}],
    },
    "sendToChat": {
        "id": NAME_OF_BOTH,
        "messages": [{"role": "user", "parts": [{"type": "text", "text": "add tea"}]}],
    },
    "resumeChat": None,
    "readTranscript": None,
    "listTurns": None,
    "readTurn": None,
    "cancelTurn": None,
    "listApprovals": None,
    "readApproval": None,
    "decideApproval": {"decision": "approve"},
    "countMemory": None,
    "clearMemory": None,
    "pruneMemory": None,
    "listTasks": None,
    "createTask": {"title": "bread"},
    "readTask": None,
    "changeTask": {"title": "stolen", "completed": True},
    "deleteTask": None,
    "listAllSessions": None,
    "changeSessionStatus": {"status": "ended"},
    "readAnySession": None,
    "readAnyTranscript": None,
    "listAllTurns": None,
    "readAnyTurn": None,
    "readAnyToolCalls": None,
    "readAnyEvents": None,
    "readAnyTurnMemory": None,
    "listAllApprovals": None,
    "readAnyApproval": None,
    "decideAnyApproval": {"decision": "approve"},
    "cleanUp": {"dry_run": True},
    "eraseUser": None,
    "renameUser": {"new_user_id": "renamed"},
    "exportUser": None,
    "readDeploymentBudget": None,
    "readUserBudget": None,
    "setUserBudget": {"tokens_per_day": 1_000_000},
    "removeUserBudget": None,
    "readStatistics": None,
    "readTurnSeries": None,
    "readUsage": None,
    "readAllUsage": None,
    "listAgents": None,
    "checkHealth": None,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    Attributes:
        path: As in the document, with names in braces.
        is_open: Whether it answers without a token.
    """

    id: str
    method: str
    path: str
    is_open: bool

    def path_of(self, ids: Mapping[str, str]) -> str:
        """Fill the path's names in."""
        return self.path.format_map(
            {
                "agent": "todo",
                "chat_id": NAME_OF_BOTH,
                "approval_id": NOTHINGS["approval_id"],
                **ids,
            }
        )

    @property
    def scopes(self) -> str:
        """What a token must allow."""
        return "parley:admin" if self.path.startswith("/admin/") else ""

    @property
    def body(self) -> Any:
        """Something to send that the operation takes."""
        return BODIES[self.id]


def operations() -> list[Operation]:
    """Return every operation of the document."""
    made = served_document()
    return [
        Operation(said["operationId"], method.upper(), path, said.get("security") == [])
        for path, methods in made["paths"].items()
        for method, said in methods.items()
    ]
