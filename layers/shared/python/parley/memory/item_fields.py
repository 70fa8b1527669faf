"""What is kept of an item, field by field, and why: all that the SDK's types know.

A test compares these tables with the installed SDK's types: a kind or a field that a new version
brings is decided on here, or the test fails. Fields that no table names are dropped: who made them
up is the only one who takes them back.
"""

from __future__ import annotations

from collections.abc import Mapping

KEPT: Mapping[str, Mapping[str, str]] = {
    "message": {
        "role": "who said it",
        "content": "what was said; an assistant's texts and refusals as plain text",
        "phase": "whether it was meant as commentary or as the answer: models that have phases"
        " answer worse without it",
        "type": "dropped with plain text; see `shape`, which keeps a message typed beside its call",
    },
    "function_call": {
        "type": "the kind",
        "call_id": "ties the output to it",
        "name": "what was called",
        "namespace": "tells tools of one name apart",
        "arguments": "what it was called with",
        "provider_data": "the SDK's: Gemini's servers want their thought signature back",
    },
    "function_call_output": {
        "type": "the kind",
        "call_id": "ties it to the call",
        "name": "what was called",
        "namespace": "tells tools of one name apart",
        "output": "what the model was told",
    },
    "custom_tool_call": {
        "type": "the kind",
        "call_id": "ties the output to it",
        "name": "what was called",
        "namespace": "tells tools of one name apart",
        "input": "what it was called with",
    },
    "custom_tool_call_output": {
        "type": "the kind",
        "call_id": "ties it to the call",
        "output": "what the model was told",
    },
    "reasoning": {
        "type": "the kind",
        "id": "the SDK's placeholder, by which it knows that Chat Completions gave it",
        "summary": "the thoughts, where the server called them reasoning_content",
        "content": "the thoughts, where it called them reasoning",
        "encrypted_content": "signatures of thoughts",
        "provider_data": "the SDK's: which model thought, and in which field",
    },
}
"""The kinds that are kept, and their fields; reasoning only from Chat Completions, with a call."""

DROPPED: Mapping[str, Mapping[str, str]] = {
    "message": {
        "id": "refers to the server's state",
        "status": "it is complete, or it would not be kept",
    },
    "function_call": {
        "id": "refers to the server's state",
        "status": "it has an output, or it would not be kept",
        "async": "how it was carried out; it is over",
        "caller": "refers to a program that the server keeps",
    },
    "function_call_output": {
        "id": "refers to the server's state",
        "status": "it is complete",
        "caller": "refers to a program that the server keeps",
        "created_by": "the server's bookkeeping",
    },
    "custom_tool_call": {
        "id": "refers to the server's state",
        "async": "how it was carried out; it is over",
        "caller": "refers to a program that the server keeps",
    },
    "custom_tool_call_output": {
        "id": "refers to the server's state",
        "status": "it is complete",
        "caller": "refers to a program that the server keeps",
        "created_by": "the server's bookkeeping",
    },
    "reasoning": {
        "status": "it is complete",
    },
}

_HOSTED = "a hosted tool's: it refers to state that the model's server keeps"
_MCP = "of a server that the model's server asks: it refers to state there"
_SHELL = "of a tool that agents here do not have: such an agent is refused"

DROPPED_KINDS: Mapping[str, str] = {
    "file_search_call": _HOSTED,
    "web_search_call": _HOSTED,
    "image_generation_call": _HOSTED,
    "code_interpreter_call": _HOSTED,
    "tool_search_call": _HOSTED,
    "tool_search_output": _HOSTED,
    "additional_tools": _HOSTED,
    "program": _HOSTED,
    "program_output": _HOSTED,
    "mcp_call": _MCP,
    "mcp_list_tools": _MCP,
    "mcp_approval_request": _MCP,
    "mcp_approval_response": _MCP,
    "computer_call": _SHELL,
    "computer_call_output": _SHELL,
    "local_shell_call": _SHELL,
    "local_shell_call_output": _SHELL,
    "shell_call": _SHELL,
    "shell_call_output": _SHELL,
    "apply_patch_call": _SHELL,
    "apply_patch_call_output": _SHELL,
    "item_reference": "names an item that the server keeps",
    "compaction": "what the server made of a conversation that it keeps",
    "compaction_trigger": "asks the server to compact a conversation that it keeps",
    "configuration_update": "of one request; the agent has its own settings in the next",
}
"""The kinds of which nothing is kept."""
