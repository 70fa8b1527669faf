"""Erasing and renaming a user in what the project keeps: the way through its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from parley.user_tables import NotOfUsers, UserData, UserTable, kept_of_users

ROWS_A_PAGE: Final = 1000


def in_pages(
    counts: dict[str, int],
    of_table: Callable[[UserTable, int], int],
    of_data: Callable[[UserData], int],
    *,
    left: Callable[[], float],
) -> bool:
    """Do the same to all that the project keeps of users, and return whether there was time.

    Args:
        counts: How many rows it was, by name; added to.
        of_table: Does it to so many rows of a table at most, and returns how many they were.
        of_data: Does it to what the project does itself, and returns how many.
        left: Gives how many seconds there still are.
    """
    for kept in kept_of_users():
        if isinstance(kept, NotOfUsers):
            continue
        is_whole = False
        while not is_whole:
            if left() <= 0:
                return False
            match kept:
                case UserTable():
                    done = of_table(kept, ROWS_A_PAGE)
                    is_whole = done < ROWS_A_PAGE
                case UserData():
                    done = of_data(kept)
                    is_whole = True
            counts[kept.name] = counts.get(kept.name, 0) + done
    return True
