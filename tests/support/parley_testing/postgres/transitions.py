"""A Postgres that refuses every change of a turn's status that is not in the table of them."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Literal

from parley.repository.states import TRANSITIONS

_GUARD = SQL("""
CREATE FUNCTION only_known_transitions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT concat_ws('>', CASE TG_OP WHEN 'UPDATE' THEN OLD.status END, NEW.status) = ANY ({known})
  THEN
    RAISE 'no transition from % to %', CASE TG_OP WHEN 'UPDATE' THEN OLD.status END, NEW.status;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_known_transitions BEFORE INSERT OR UPDATE OF status, attempt ON turns
  FOR EACH ROW EXECUTE FUNCTION only_known_transitions();
""")


def refuse_other_transitions(connection: psycopg.Connection) -> None:
    """Have a database refuse what no transition is."""
    known = [">".join(filter(None, (each.before, each.after))) for each in TRANSITIONS]
    connection.execute(_GUARD.format(known=Literal(known)))
