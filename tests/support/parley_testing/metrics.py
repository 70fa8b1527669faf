"""Metrics as CloudWatch finds them in what a function prints."""

from __future__ import annotations

import json
from typing import Any


def metrics_in(output: str) -> list[dict[str, Any]]:
    """Return the metric documents of an output, in their order."""
    said = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [document for document in said if "_aws" in document]


def values_of(document: dict[str, Any]) -> dict[str, float]:
    """Return a document's metrics with their values."""
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: document[metric["Name"]][0] for metric in directive["Metrics"]}
