"""What a process makes when it is first asked for, though several threads ask at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import RLock
from typing import Any, Self, TypeVar, overload

T = TypeVar("T")


class made_once(cached_property[T]):
    """A `cached_property` that is made once, also by threads that ask at the same moment.

    Since Python 3.12 the standard one takes no lock: two threads that ask first make two values,
    and each goes on with its own - two pools of connections, of which one is closed by nobody.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        super().__init__(make)
        self._making = RLock()

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | T:
        # Asked only as long as there is no value: then the instance's own goes first.
        if instance is None:
            return self
        with self._making:
            return super().__get__(instance, owner)
