"""Why Postgres cannot be used, as a sentence for whoever deploys, and whether it may pass.

Never with a secret: passwords are in no message of libpq's or the server's, and a URL that would
spill a piece of one is refused before anything is connected (`address`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from parley.errors import (
    ProjectMigrationFault,
    RuntimeRoleFault,
    StoreUnavailable,
    UserDataFault,
)

_SAID_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong.

    Attributes:
        sentence: For whoever deploys.
        lasts: Whether trying again cannot help until somebody has mended something.
    """

    sentence: str
    lasts: bool


# What libpq and the servers say when no connection comes about: there is no SQLSTATE then. The
# first that fits. Servers may speak another language, whose words are passed on as they are.
_REFUSALS = (
    (
        r"(password|SASL) authentication failed|wrong password",
        "Postgres refused the password. The secret holds another one than the server has for this"
        " user, or another user.",
        True,
    ),
    (
        r"role .* (does not exist|is not permitted to log in)|no such user",
        "Postgres does not know the user that the secret names, or does not let it log in.",
        True,
    ),
    (
        r"database .* does not exist|no such database",
        "The database that the secret names does not exist on this server. Create it.",
        True,
    ),
    (
        r"Temporary failure in name resolution",
        "The host's name cannot be looked up just now.",
        False,
    ),
    (
        r"could not translate host name|failed to resolve host|Name or service not known"
        r"|nodename nor servname|No address associated|Name has no usable address",
        "No host of the name that the secret gives is known. Look for a slip of the pen; a private"
        " name is known in its VPC only (SubnetIds).",
        True,
    ),
    (
        r"Connection refused",
        "Nothing listens at the host's port. The port is another one, or the server is down.",
        False,
    ),
    (
        r"time-?out expired|timed out|No route to host|Network is unreachable",
        "The host does not answer. A firewall, a security group or a list of allowed addresses"
        " keeps the caller out, or the function is in a VPC without a way to it.",
        False,
    ),
    (
        r"does not support SSL",
        "The server takes no encrypted connections, and the URL asks for one (sslmode). Switch TLS"
        " on at the server.",
        True,
    ),
    (
        r"no encryption|SSL off|SSL (connection )?(is )?required|requires? (SSL|TLS)"
        r"|insecure connection|connection is insecure",
        "The server takes encrypted connections only. Add ?sslmode=require to the URL.",
        True,
    ),
    (
        r"certificate",
        "The server's certificate could not be verified as the URL asks (sslmode, sslrootcert).",
        True,
    ),
    (
        r"no pg_hba\.conf entry",
        "The server lets nobody in from here as this user to this database (pg_hba.conf).",
        True,
    ),
    (
        r"startup param|command-line options|startup options",
        "The pooler refuses the options in the URL. Leave them out, or use the direct address.",
        True,
    ),
    (
        r"too many (clients|connections)|connection slots|no more connections",
        "All of the server's connections are taken.",
        False,
    ),
    (
        r"(starting up|shutting down|recovery mode|not yet accepting)",
        "The server is starting or shutting down.",
        False,
    ),
)
_KNOWN = tuple(
    (re.compile(words, re.IGNORECASE), Diagnosis(sentence, lasts))
    for words, sentence, lasts in _REFUSALS
)

_STATES = {
    "42501": Diagnosis(
        "The database's user may not do this. A migration creates tables: GRANT CREATE ON SCHEMA"
        " public TO the user, or let it own the database.",
        lasts=True,
    ),
    "3F000": Diagnosis("The database has no schema public.", lasts=True),
    "25006": Diagnosis(
        "The database takes no writes: it is a replica, or its disk is full.", False
    ),
    "53100": Diagnosis("The database's disk is full.", lasts=False),
    "53300": Diagnosis("All of the server's connections are taken.", lasts=False),
    "55P03": Diagnosis("Another transaction kept what this one needs locked for too long.", False),
    "57014": Diagnosis(
        "A statement took longer than it may. Perhaps another transaction keeps a table locked.",
        lasts=False,
    ),
}


def diagnose(error: BaseException) -> Diagnosis:
    """Return what is wrong, by what the error and its causes say."""
    if isinstance(error, StoreUnavailable) and error.store != "postgres":
        return Diagnosis(str(error), lasts=False)
    if isinstance(error, RuntimeRoleFault | ProjectMigrationFault | UserDataFault):
        return Diagnosis(str(error), lasts=True)
    cause = driver_error(error)
    if cause is None:
        return Diagnosis(
            f"{type(error).__name__}: {error}", not isinstance(error, StoreUnavailable)
        )
    said = " ".join(str(cause).split())[:_SAID_LIMIT]
    state = cause.sqlstate
    if state is None:
        for words, diagnosis in _KNOWN:
            if words.search(said):
                return diagnosis
        return Diagnosis(f"Postgres cannot be connected to: {said}", lasts=False)
    known = _STATES.get(state)
    passes = isinstance(error, StoreUnavailable)
    if known is None:
        return Diagnosis(f"Postgres refused a statement ({state}): {said}", lasts=not passes)
    return Diagnosis(f"{known.sentence} ({state}: {said})", known.lasts)


def driver_error(error: BaseException | None) -> PsycopgError | None:
    """Return what Postgres or its driver said, of an error or what caused it."""
    while error is not None:
        if isinstance(error, PsycopgError):
            return error
        if isinstance(error, DBAPIError) and isinstance(error.orig, PsycopgError):
            return error.orig
        error = error.__cause__
    return None
