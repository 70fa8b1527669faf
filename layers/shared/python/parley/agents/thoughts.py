"""Which servers of Chat Completions want a model's thoughts back with the call that they led to.

DeepSeek's refuses a conversation in which a call stands without them, Kimi's already the next
request of the same turn. To others they are nothing, or the more input to pay for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_WANTING = ("deepseek", "kimi", "moonshot")
_FIELDS = ("reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True)
class Thoughts:
    """What to do with thoughts.

    Attributes:
        setting: `returned` to everybody, `dropped`, or `auto`: returned to whom is known to want
            them, by the name of the model or the address of the server.
        base_url: The server's address.
    """

    setting: Literal["auto", "returned", "dropped"] = "auto"
    base_url: str = ""

    def are_wanted(self, model: str) -> bool:
        """Tell whether a model's server wants thoughts back."""
        if self.setting != "auto":
            return self.setting == "returned"
        return any(word in f"{model} {self.base_url}".lower() for word in _WANTING)

    def in_messages(self, model: Any, messages: Iterable[Mapping[str, Any]]) -> Any:
        """Return messages of Chat Completions as a model's server wants them.

        Args:
            model: The model's name.
            messages: As the SDK makes them: with the thoughts that are wanted, and those that came
                as `reasoning`. A call of which no thoughts are known gets empty ones: of another
                model's, or of a memory from before they were kept. The field is what is looked for.
        """
        wanted = self.are_wanted(str(model))
        if self.setting == "dropped":
            return [
                {key: value for key, value in message.items() if key not in _FIELDS}
                for message in messages
            ]
        return [
            {**message, "reasoning_content": ""}
            if wanted and message.get("tool_calls") and message.keys().isdisjoint(_FIELDS)
            else message
            for message in messages
        ]
