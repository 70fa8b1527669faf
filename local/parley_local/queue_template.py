"""What a template says of the queue that a function works off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parley_local.cloudformation import Resolver
from parley_local.template import Queue


def read_queue(
    sources: Sequence[tuple[str, dict[str, Any]]], resources: Mapping[str, Any], resolver: Resolver
) -> Queue | None:
    """Return the queue that the functions' SQS events name; None without such an event.

    Args:
        sources: Functions and the properties of their SQS events.
        resources: The template's resources.
        resolver: Works out their values.

    Raises:
        ValueError: There are several, or an event or a redrive policy names no queue of the
            template.
    """
    if len(sources) > 1:
        raise ValueError("The local queue has one reader; the template has several SQS events.")
    if not sources:
        return None
    ((function, event),) = sources
    name = _queue_of(event.get("Queue"), resources)
    if name is None:
        raise ValueError(f"The SQS event of {function} names no queue of the template.")
    properties = resources[name].get("Properties") or {}
    redrive = properties.get("RedrivePolicy")
    dead_letters = receives = None
    if redrive is not None:
        dead_letters = _queue_of(redrive.get("deadLetterTargetArn"), resources)
        if dead_letters is None:
            raise ValueError(f"The RedrivePolicy of {name} names no queue of the template.")
        receives = int(resolver.resolve(redrive["maxReceiveCount"]))
    scaling = resolver.get(event.get("ScalingConfig"), {})
    concurrency = scaling.get("MaximumConcurrency")
    return Queue(
        name=name,
        function=function,
        visibility=float(resolver.get(properties.get("VisibilityTimeout"), 30)),
        delay=float(resolver.get(properties.get("DelaySeconds"), 0)),
        receives=receives,
        dead_letters=dead_letters,
        concurrency=None if concurrency in (None, "") else int(concurrency),
    )


def _queue_of(reference: Any, resources: Mapping[str, Any]) -> str | None:
    """Name the queue that `!GetAtt Queue.Arn` points to."""
    argument = reference.get("Fn::GetAtt") if isinstance(reference, dict) else None
    parts = argument.split(".") if isinstance(argument, str) else argument
    if not parts or (resources.get(parts[0]) or {}).get("Type") != "AWS::SQS::Queue":
        return None
    return str(parts[0])
