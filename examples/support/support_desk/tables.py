"""Which tables hold rows of users: erasing, exporting and renaming a user comes to them."""

from parley import UserTable

TABLES = [UserTable("support_desk_refunds", user_column="user_id")]
