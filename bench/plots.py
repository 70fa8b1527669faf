"""The pictures of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from bench.memories import Taken
from bench.sending import Measured
from matplotlib import pyplot as plt

TURNS = "performance-turns.png"
MEMORIES = "performance-memory.png"
_SIZE = (7.2, 4.2)


def draw(turns: Mapping[tuple[int, int], Measured], taken: Taken, folder: Path) -> None:
    """Draw them into a folder."""
    mpl.use("Agg")
    lines: dict[str, dict[int, float]] = {}
    for (latency, history), measured in turns.items():
        if latency == 1:
            for side in measured.costs:
                lines.setdefault(side, {})[history] = measured.median(side).wall
    _draw(lines, "A turn, 1 ms to each store (median)", folder / TURNS)
    memory = {name: {at: cost.wall for at, cost in of.items()} for name, of in taken.items()}
    _draw(memory, "Reading and writing a turn's memory (median)", folder / MEMORIES)


def _draw(lines: Mapping[str, Mapping[int, float]], title: str, file: Path) -> None:
    figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
    for name, points in lines.items():
        own = name.startswith("Parley")
        axes.plot(
            list(points),
            list(points.values()),
            marker="o",
            linewidth=2.5 if own else 1.2,
            linestyle="-" if own else "--",
            label=name,
        )
    axes.set(xscale="log", yscale="log", title=title, ylabel="milliseconds")
    axes.set_xlabel("turns that the conversation has had")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize="small")
    # Without the version of what drew it, the same figures make the same file.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)
