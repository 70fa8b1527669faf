"""What is wrong with a project, for the person whose project it is."""

from __future__ import annotations

from collections.abc import Sequence

from parley.errors import ParleyError


class ProjectFaults(ParleyError):
    """A project cannot be used.

    Attributes:
        sentences: What is wrong; each names the file, and the key or the place in it.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        """Keep the sentences."""
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)
