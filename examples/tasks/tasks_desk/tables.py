"""Which tables hold rows of users: erasing, exporting and renaming a user comes to them."""

from parley import UserTable

TABLES = [
    UserTable(
        "tasks",
        left_out=("fingerprint",),
        own_keys=("idempotency_key",),
        row_security=False,  # Parley's own policy is on it
    )
]
