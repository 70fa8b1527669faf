"""Which tables hold rows of users: erasing, exporting and renaming a user comes to them."""

from parley import UserTable

TABLES = [
    UserTable("tasks", left_out=("fingerprint",), own_keys=("idempotency_key",)),
    UserTable("deleted_task_keys", left_out=("fingerprint",), own_keys=("idempotency_key",)),
]
