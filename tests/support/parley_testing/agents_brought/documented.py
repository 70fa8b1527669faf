"""The examples of pages in docs/, taken out of them, and a way to talk to those of agents.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parley_testing.api.handlers import Answer, Api
from parley_testing.models.server import ModelServer

_DOCS = Path(__file__).parents[4] / "docs"
_PAGE = (_DOCS / "agents.md").read_text(encoding="utf-8")


def files(page: str = "agents.md") -> dict[Path, str]:
    """Return each example of a page that is a file, by the path that its first line names."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return {Path(path): code for path, code in found}


def table(page: str = "agents.md") -> str:
    """Return a page's lines of `pyproject.toml`."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```toml\n(\[tool\.parley\]\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(lines)


def offers() -> Mapping[str, Any]:
    """Return the agents that the page offers, by name."""
    agents: dict[str, Any] = tomllib.loads(table())["tool"]["parley"]["agents"]
    return agents


def variables() -> dict[str, str]:
    """Return the variables for another model."""
    (lines,) = re.findall(r"^```sh\n(OPENAI_.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    return dict(line.split("=", 1) for line in lines.splitlines())


class Talk:
    """A session with an agent on a model's server.

    Attributes:
        model: What the agent's model is asked and answers.
    """

    def __init__(self, api: Api, model: ModelServer) -> None:
        self.model = model
        self._api = api

    def send(self, agent: str, text: str, **parts: Any) -> Answer:
        """Send a message to the agent's session."""
        body = {"text": text, "session_name": agent, "agent": agent}
        return self._api("POST", "/messages", body, **parts)

    def ask(self, agent: str, text: str, **parts: Any) -> str:
        """Send a message and give the reply."""
        answer = self.send(agent, text, **parts)
        assert answer.status == 201, answer
        content: str = answer.json["reply"]["content"]
        return content
