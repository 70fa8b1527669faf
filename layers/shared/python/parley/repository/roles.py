"""The logins of the functions: a run-time role without DDL, and one for the service's own work.

The run-time role sees the rows of one user at a time (`row_security`); all that a user or a tool
causes goes through it. The service's login is granted the same tables whole. `migrate` makes both
with the password of the run-time URL. Where it may not, somebody who may makes them before, and
`migrate` goes on from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from psycopg import Error as PsycopgError
from psycopg.sql import SQL, Composed, Identifier, Literal
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from parley.errors import RuntimeRoleFault, StoreUnavailable
from parley.repository.address import service_url
from parley.repository.database import Database, sqlstate
from parley.repository.diagnosis import diagnose
from parley.repository.project_tables import quoted
from parley.repository.row_security import (
    EVERY_RIGHT,
    EVERYONE,
    GUARDS,
    PROJECT_VERSIONS,
    Guard,
    policies,
    policies_of_user,
)
from parley.repository.scope import SERVICE, OfUser, Scope
from parley.user_tables import UserTable

_INSUFFICIENT_PRIVILEGE = "42501"
_LOGINS_SECONDS = 60.0
"""How long the owner's transaction may wait for the logins that are tried meanwhile."""


def arrange(
    connection: Connection, runtime: URL, tables: Sequence[UserTable] | None = None
) -> None:
    """Make both logins what they must be in this database: there, granted, and bound.

    What is so already is left as it is. Tables of the owner's that are not Parley's own, in
    whichever schema, are granted to both when this is done first, and by default privileges when
    they are made later; after that their grants are their owner's to change. Those of them that
    hold rows of users are under a policy like Parley's own.

    Args:
        connection: A transaction of the owner's, who has made the tables.
        runtime: The run-time role's URL.
        tables: The project's tables with a user column; others are not bound. None leaves tables
            of the project's as they are.

    Raises:
        RuntimeRoleFault: A role cannot be made, or is more than a run-time role may be.
    """
    user, service = role_of(runtime), role_of(service_url(runtime))
    for role, url in ((user, runtime), (service, service_url(runtime))):
        _make(connection, role, url)
    _grant_schema(connection, user, service)
    _grant_others(connection, user, service)
    for table in GUARDS:
        _grant(connection, table, GUARDS[table], user, service)
        _bind(connection, quoted(table), policies(table, user), user, everyone=True)
    if connection.execute(_THERE, {"table": PROJECT_VERSIONS}).scalar_one():
        _grant(connection, PROJECT_VERSIONS, GUARDS["alembic_version"], user, service)
    if tables is not None:
        _bind_others(connection, tables, user)


def try_logins(runtime: URL, owner: Database) -> None:
    """Log in as both, and see that it is the owner's database in which they are.

    The two are named by two secrets: after a restore into another database, one of them may still
    lead to the old one, on which the functions would go on.

    Args:
        runtime: The run-time role's URL.
        owner: The way of the database's owner.

    Raises:
        RuntimeRoleFault: One of them cannot, or comes into another database.
        StoreUnavailable: The owner's database cannot serve now.
    """
    # Whoever is in the same database meets the lock, by whatever name or pooler he came.
    key = secrets.randbits(62)
    with owner.long_transaction(_LOGINS_SECONDS) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        for scope, url in ((OfUser(""), runtime), (SERVICE, service_url(runtime))):
            if not _meets(key, scope, runtime, str(url.username)):
                raise RuntimeRoleFault(
                    "The run-time secret leads to another database than the owner's secret, on"
                    " which the functions would work. Name one host and one database in both."
                )


def _meets(key: int, scope: Scope, runtime: URL, login: str) -> bool:
    database = _way(runtime)
    try:
        (row,) = database.run_once(
            scope,
            text("SELECT NOT pg_try_advisory_xact_lock(:key), (SELECT true FROM sessions LIMIT 1)"),
            {"key": key},
        )
    except (DBAPIError, StoreUnavailable) as error:
        raise RuntimeRoleFault(
            f'The functions cannot log in as "{login}": {diagnose(error).sentence}'
        ) from error
    finally:
        database.close()
    return bool(row[0])


def role_of(url: URL) -> str:
    """Return the role that a URL logs in as, without the tenant that a pooler wants behind a dot.

    Raises:
        RuntimeRoleFault: It names none.
    """
    if not url.username:
        raise RuntimeRoleFault("The run-time secret names no user.")
    return url.username.partition(".")[0]


def _make(connection: Connection, role: str, url: URL) -> None:
    found = connection.execute(
        text(
            "SELECT r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb"
            " OR pg_has_role(r.oid, (SELECT datdba FROM pg_database"
            "                        WHERE datname = current_database()), 'MEMBER')"
            " OR pg_has_role(r.oid, (SELECT relowner FROM pg_class"
            "                        WHERE oid = to_regclass('sessions')), 'MEMBER')"
            " FROM pg_roles r WHERE r.rolname = :role"
        ),
        {"role": role},
    ).scalar()
    if found:
        raise RuntimeRoleFault(
            f'The run-time secret names "{role}", which owns the database or may do more than a'
            " run-time role. Name a user of its own there, such as parley_app; migrate makes it."
        )
    verb = SQL("CREATE ROLE {} LOGIN" if found is None else "ALTER ROLE {} LOGIN")
    if found is False and not _password_is_refused(url):
        return
    statement = verb.format(Identifier(role))
    if url.password:
        statement += SQL(" PASSWORD {}").format(Literal(_verifier(connection, role, url)))
    with _explained(
        f'The database\'s owner may not make the role "{role}" or set its password. Let somebody'
        f" who may do it: CREATE ROLE \"{role}\" LOGIN PASSWORD '…' with the run-time secret's"
        " password; then migrate again."
    ):
        _run(connection, statement)


def _verifier(connection: Connection, role: str, url: URL) -> str:
    """Return what the server keeps of the password, so that no log of statements has it."""
    driver = connection.connection.driver_connection
    assert driver is not None
    made: bytes = driver.pgconn.encrypt_password(
        str(url.password).encode(), role.encode(), b"scram-sha-256"
    )
    return made.decode()


def _password_is_refused(url: URL) -> bool:
    """Return whether the server has another.

    What else keeps the login out shows when both are tried.
    """
    database = Database(
        lambda: url.render_as_string(hide_password=False), statement_timeout=10, as_owner=True
    )
    try:
        database.run_once(OfUser(""), text("SELECT 1"))
    except StoreUnavailable as error:
        # As where a connection is wanted (`database`): libpq tells whether it got to the password.
        cause = error.__cause__
        driver = cause.orig if isinstance(cause, DBAPIError) else None
        return isinstance(driver, PsycopgError) and bool(
            driver.pgconn and driver.pgconn.used_password
        )
    finally:
        database.close()
    return False


def _way(runtime: URL) -> Database:
    return Database(lambda: runtime.render_as_string(hide_password=False), statement_timeout=10)


def _grant_schema(connection: Connection, *roles: str) -> None:
    schema, database = connection.execute(text("SELECT current_schema(), current_database()")).one()
    for role in roles:
        uses, creates, connects = connection.execute(
            text(
                "SELECT has_schema_privilege(:role, :schema, 'USAGE'),"
                " has_schema_privilege(:role, :schema, 'CREATE'),"
                " has_database_privilege(:role, :database, 'CONNECT')"
            ),
            {"role": role, "schema": schema, "database": database},
        ).one()
        if creates:
            raise RuntimeRoleFault(
                f'Everybody may make tables in the schema "{schema}", the run-time role too, as in'
                " databases made before PostgreSQL 15. Run REVOKE CREATE ON SCHEMA"
                f' "{schema}" FROM PUBLIC; then migrate again.'
            )
        place = {"role": Identifier(role), "schema": Identifier(schema)}
        if not uses:
            _run(connection, SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**place))
        if not connects:
            _run(
                connection,
                SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    Identifier(database), Identifier(role)
                ),
            )


def _grant_others(connection: Connection, *roles: str) -> None:
    """Grant what is not Parley's own, and what will be made, to those who were not granted it."""
    schemas = [row.nspname for row in connection.execute(_SCHEMAS)]
    others = connection.execute(_OTHERS, {"own": [*GUARDS, PROJECT_VERSIONS]}).all()
    for role in roles:
        if connection.execute(_BY_DEFAULT, {"role": role}).first() is not None:
            continue
        to = Identifier(role)
        for schema in schemas:
            _run(connection, SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(schema), to))
        for schema, name, kind in others:
            granting = SQL(f"GRANT {_SEQUENCE if kind == 'S' else _TABLE} {{}} TO {{}}")
            _run(connection, granting.format(Identifier(schema, name), to))
        for rights in (f"{_TABLE}S", f"{_SEQUENCE}S", "USAGE ON SCHEMAS"):
            granting = SQL(f"ALTER DEFAULT PRIVILEGES GRANT {rights} TO {{}}")
            _run(connection, granting.format(to))


def _grant(connection: Connection, table: str, guard: Guard, user: str, service: str) -> None:
    for role, rights in ((user, guard.rights), (service, guard.service)):
        place = Identifier(table), Identifier(role)
        # Default privileges may have given more.
        _run(connection, SQL("REVOKE ALL ON {} FROM {}").format(*place))
        if rights:
            _run(connection, SQL(f"GRANT {', '.join(rights)} ON {{}} TO {{}}").format(*place))


def _bind_others(connection: Connection, tables: Sequence[UserTable], user: str) -> None:
    """Bind the role to its user's rows in tables of the project's, and in no others of them."""
    bound = [table for table in tables if table.row_security]
    for table in bound:
        name = quoted(table.name)
        secured = connection.execute(_SECURED, {"table": name}).scalar_one()
        # One that its owner has secured has policies of its own, which decide for everybody.
        wanted = policies_of_user(quoted(table.user_column), user)
        _bind(connection, name, wanted, user, everyone=not secured)
    known = [quoted(each) for each in (*GUARDS, *(table.name for table in bound))]
    for row in connection.execute(_BOUND, {"known": known, "role": user}).all():
        dropping = SQL("DROP POLICY {} ON {}")
        _run(
            connection,
            dropping.format(Identifier(row.polname), Identifier(row.nspname, row.relname)),
        )


def _bind(
    connection: Connection,
    table: str,
    wanted: Mapping[str, tuple[str, str]],
    user: str,
    *,
    everyone: bool,
) -> None:
    """Let policies bind the role.

    Args:
        connection: The owner's.
        table: As SQL has it, in quotes.
        wanted: Command and rule of each, by its name.
        user: The role.
        everyone: Whether a policy is made that leaves all others what they are granted.
    """
    if not wanted:
        return
    secured = connection.execute(_SECURED, {"table": table}).scalar_one()
    there = {row.polname for row in connection.execute(_POLICIES, {"table": table, "role": user})}
    open_already = connection.execute(_EVERYONE, {"table": table, "name": EVERYONE}).first()
    name, to = SQL(table), Identifier(user)
    if everyone and open_already is None:
        _run(
            connection,
            SQL("CREATE POLICY {} ON {} USING (true)").format(Identifier(EVERYONE), name),
        )
    for policy, (command, rule) in wanted.items():
        if policy not in there:
            creating = SQL(
                f"CREATE POLICY {{}} ON {{}} AS RESTRICTIVE FOR {command} TO {{}} {rule}"
            )
            _run(connection, creating.format(Identifier(policy), name, to))
    for policy in there - wanted.keys():
        _run(connection, SQL("DROP POLICY {} ON {}").format(Identifier(policy), name))
    if not secured:
        _run(connection, SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))


@contextmanager
def _explained(sentence: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) == _INSUFFICIENT_PRIVILEGE:
            raise RuntimeRoleFault(sentence) from error
        raise


def _run(connection: Connection, statement: Composed) -> None:
    connection.exec_driver_sql(statement.as_string(None).replace("%", "%%"))


_TABLE = f"{', '.join(EVERY_RIGHT)} ON TABLE"
_SEQUENCE = "USAGE, SELECT ON SEQUENCE"

_BY_DEFAULT = text("""
SELECT FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a
JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND d.defaclnamespace = 0 AND d.defaclobjtype = 'r' AND r.rolname = :role
""")

_OWNED = """
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_depend e
    WHERE e.classid = CAST(:catalog AS regclass) AND e.objid = {0}.oid AND e.deptype = 'e')
"""

_SCHEMAS = text(
    "SELECT n.nspname FROM pg_namespace n WHERE pg_has_role(n.nspowner, 'USAGE')"
    + _OWNED.format("n")
).bindparams(catalog="pg_namespace")

# Not what an extension brought: it is granted, or not, by the extension.
_OTHERS = text(
    "SELECT n.nspname, c.relname, c.relkind"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_has_role(c.relowner, 'USAGE')"
    " AND NOT (n.nspname = current_schema() AND c.relname = ANY(CAST(:own AS text[])))"
    + _OWNED.format("c")
).bindparams(catalog="pg_class")

_THERE = text("SELECT to_regclass(:table) IS NOT NULL")

_SECURED = text("SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(:table)")

_POLICIES = text(r"""
SELECT polname FROM pg_policy
WHERE polrelid = to_regclass(:table) AND polname LIKE 'parley\_%'
  AND polroles = ARRAY(SELECT oid FROM pg_roles WHERE rolname = :role)
""")

_BOUND = text(r"""
SELECT n.nspname, c.relname, p.polname
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.polname LIKE 'parley\_%' AND pg_has_role(c.relowner, 'USAGE')
  AND p.polroles = ARRAY(SELECT oid FROM pg_roles WHERE rolname = :role)
  AND NOT EXISTS (SELECT FROM unnest(CAST(:known AS text[])) AS known(name)
                  WHERE to_regclass(known.name) = c.oid)
""")

_EVERYONE = text("""
SELECT FROM pg_policy WHERE polrelid = to_regclass(:table) AND polname = :name
""")
