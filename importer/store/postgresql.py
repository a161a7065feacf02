"""The team's store: PostgreSQL 14 and later, through psycopg 3.

The connection follows libpq's conventions (service file, PGPASSFILE, sslmode). A connection that does not
answer for 15 s is given up by a deadline of ours: keepalives do not notice a proxy that acknowledges
packets. A password is in no message, log or traceback: only this module sees the URL.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Table,
    cast,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_replace
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool

from importer.errors import StoreError, StoreUnusableError
from importer.store.database import Database, Release

T = TypeVar("T")
VERSION_MIN: Final = 140_000
SILENCE_MAX_S: Final = 15.0
PING_MAX_S: Final = 5.0
"""With the 10 s that connecting again may take, a read says within 15 s that the server is silent."""
UNREACHABLE_FOR_S: Final = 5.0
"""So long after a connection that nobody answered none is tried: at the end of a run that lost its store
several are asked for, one after the other."""
PATIENCE_S: Final = 900.0
"""For statements that move a whole batch."""
_DEFAULTS: Final = {
    "application_name": "importer",
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# The server's side: its end of a dead connection has to go soon, for it holds the lock of a batch.
_SETTINGS: Final = (
    "SET statement_timeout = '15s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 3",
    "SET tcp_keepalives_count = 3",
)
_TROUBLE: Final = {
    "28P01": (
        "The store's server refused the password.",
        "Check PGPASSFILE or the password in IMPORTER_STORE.",
    ),
    "no password": (
        "The store's server wants a password, and none was found.",
        "Keep it in the file that PGPASSFILE names, readable by you alone (see README, For teams).",
    ),
    "28000": ("The store's server does not let this user in.", "Ask the database's administrator."),
    "3D000": ("There is no database of this name.", "Check IMPORTER_STORE, or ask for it to be created."),
    "42501": (
        "The user may not do this in the store.",
        "Ask the administrator for the rights in README, For teams.",
    ),
    "53100": (
        "The disk of the store's server is full.",
        "Ask its administrator to make room, then try again.",
    ),
    "53300": ("The store's server has too many connections.", "Try again later, or ask its administrator."),
    "57014": ("The store did not answer within 15 s.", "Try again when the server is less busy."),
    **dict.fromkeys(
        ("57P01", "57P02", "57P03"),
        ("The store's server was stopped, or is starting.", "Wait until it runs again, then try again."),
    ),
    "25006": ("The store's server is read-only (a standby).", "Check the address in IMPORTER_STORE."),
}

_PHRASES: Final = {
    "password authentication failed": "28P01",
    "no password supplied": "no password",
    "no pg_hba.conf entry": "28000",
    "is not permitted to log in": "28000",
    "too many clients": "53300",
    "too many connections for": "53300",  # a role, a database
    "remaining connection slots": "53300",
    "the database system is starting up": "57P03",
    "the database system is shutting down": "57P03",
    'FATAL: role "': "28000",
    'FATAL: database "': "3D000",
}


class GuardedConnection(psycopg.Connection[Any]):
    """A connection that is given up when it does not answer for `silence_max_s`."""

    silence_max_s: float = SILENCE_MAX_S

    def wait(self, gen: PQGen[T], *arguments: Any, **named: Any) -> T:
        """Every exchange with the server passes here."""
        return super().wait(self._until_silent(gen), *arguments, **named)

    def _until_silent(self, gen: PQGen[T]) -> PQGen[T]:
        """`gen`, which is resumed several times a second, also while nothing arrives."""
        until = time.monotonic() + self.silence_max_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() > until:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer for {self.silence_max_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as ended:
            result: T = ended.value
            return result


class PostgresqlDatabase(Database):
    """The database at `url`, which only the connecting function keeps."""

    dialect = "postgresql"
    driver_error = psycopg.Error
    dialect_insert = staticmethod(insert_or_replace)
    read_options: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    snapshot_options: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ"}
    write_options: Mapping[str, Any] = {}

    def __init__(self, url: str, named: str) -> None:
        try:
            known = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise _unreadable(named, "It looks like postgresql://user@host/database.") from None
        if "@" in str(known.get("host") or "")[1:]:  # the rest of a password, which must not be shown
            raise _unreadable(named, "An @ in a name or a password is written as %40.")
        self.location = _shown(known)
        self._passwords = tuple(
            str(known[name]) for name in ("password", "sslpassword") if known.get(name) is not None
        )
        complete = conninfo.make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in known})

        self._unreachable_until_s = -math.inf

        def connect() -> psycopg.Connection[Any]:
            if time.monotonic() < self._unreachable_until_s:
                raise psycopg.errors.ConnectionTimeout("connection timeout expired")
            try:
                connection = GuardedConnection.connect(complete, autocommit=True)
            except psycopg.errors.ConnectionTimeout:
                self._unreachable_until_s = time.monotonic() + UNREACHABLE_FOR_S
                raise
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.autocommit = False
            return connection

        made = partial(create_engine, "postgresql+psycopg://", creator=connect, hide_parameters=True)
        self.engine = made(pool_size=3, max_overflow=7, pool_use_lifo=True)
        event.listen(self.engine, "checkout", _still_there)
        # Closed, and not kept, so that no lock outlives its owner.
        self.kept_engine = made(poolclass=NullPool)

    def expect_fit(self) -> None:
        """Raises StoreUnusableError where the server cannot keep what is promised."""
        with self.reading() as connection:
            version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
            commit = str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())
        if version < VERSION_MIN:
            raise StoreUnusableError(
                f"The store's server is PostgreSQL {version // 10_000}; 14 is the oldest that is supported.",
                where=self.location,
                remedy="Ask its administrator for a newer one.",
            )
        if commit == "off":
            raise StoreUnusableError(
                "The store's server confirms changes before they are on its disk (synchronous_commit is"
                " off).",
                where=self.location,
                remedy="Ask its administrator to set synchronous_commit to on for this database or user.",
            )

    @contextmanager
    def patience(self, connection: Connection) -> Iterator[None]:
        """A longer deadline, the server's and ours."""
        raw = _raw(connection)
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{PATIENCE_S:.0f}s'")
        before, raw.silence_max_s = raw.silence_max_s, PATIENCE_S
        try:
            yield
        finally:
            raw.silence_max_s = before

    def clock(self) -> ColumnElement[float]:
        """The server's."""
        return cast(func.extract("epoch", func.clock_timestamp()), Double)

    def lock(self, name: str, connection: Connection) -> Release | None:
        """An advisory lock of this connection; it ends with it."""
        key = self._key(connection, name)
        alone = not connection.in_transaction()
        with self.trouble():
            asked = select(func.pg_try_advisory_lock(literal(key, BigInteger)))
            taken = connection.execute(asked).scalar_one()
            if alone:
                connection.commit()
        return partial(_release, connection, key) if taken else None

    def locked(self, names: Sequence[str]) -> set[str]:
        """From the server's table of locks."""
        with self.reading() as connection:
            keys = {self._key(connection, name): name for name in names}
            return {keys[key] for key in self._holders(connection) if key in keys}

    def free(self, name: str) -> bool:
        """Needs to be the same user as the holder, or a member of pg_signal_backend."""
        with suppress(StoreError), self.reading() as connection:
            process = self._holders(connection).get(self._key(connection, name))
            if process is not None:
                return bool(connection.execute(select(func.pg_terminate_backend(process))).scalar())
        return False

    def _holders(self, connection: Connection) -> dict[int, int]:
        """Numbers of locks that are held → the server's process that holds it."""
        found = connection.exec_driver_sql(
            "SELECT classid::bigint << 32 | objid::bigint, pid FROM pg_locks WHERE locktype = 'advisory'"
            " AND objsubid = 1 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).all()
        return {key: process for key, process in found}  # noqa: C416 - rows are no pairs to the type

    def one_at_a_time(self, connection: Connection, name: str) -> None:
        """An advisory lock of the transaction."""
        key = self._key(connection, name)
        connection.execute(select(func.pg_advisory_xact_lock(literal(key, BigInteger))))

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """By COPY."""
        if not rows:
            return
        names = list(rows[0])
        columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names))
        copy = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(psycopg.sql.Identifier(table.name), columns)
        with _raw(connection).cursor() as cursor, cursor.copy(copy) as target:
            for row in rows:
                target.write_row([row[name] for name in names])

    def overwrite(self) -> None:
        """Has the server reuse the space, where this user may. What its files and backups keep is the
        administrator's."""
        with suppress(StoreError), self.reading() as connection:
            connection.exec_driver_sql("VACUUM sheet_row, attempt, lookup, reading, fact")

    def size_bytes(self) -> int:
        """Of our tables, their indexes and long values."""
        with self.reading() as connection:
            found = connection.execute(
                text(
                    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
                    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
                )
            ).scalar_one()
        return int(found)

    def lost(self, error: BaseException) -> StoreError:
        """The server's trouble, or the network's."""
        state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
        said = self.said(error)
        if not state:  # while connecting, there is only the text
            state = next((code for phrase, code in _PHRASES.items() if phrase in said), "")
        if state in _TROUBLE:
            what, remedy = _TROUBLE[state]
            return StoreError(what, where=self.location, remedy=remedy)
        original = getattr(error, "orig", None) or error
        unreachable = isinstance(original, (psycopg.OperationalError, psycopg.InterfaceError, OSError))
        if state.startswith("08") or (not state and unreachable):
            if "certificate" in said or "SSL" in said:
                what = f"The connection to the store could not be secured: {said}."
                return StoreError(what, where=self.location, remedy="Check sslmode and sslrootcert.")
            remedy = "Check the network and the server, then try again."
            return StoreError(f"The store cannot be reached: {said}.", where=self.location, remedy=remedy)
        return StoreError(f"The store could not be used: {said}.", where=self.location)

    def said(self, error: BaseException) -> str:
        """What the server says, without a password, and without what libpq supposes below it."""
        lines = str(getattr(error, "orig", None) or error).splitlines()
        said = " ".join(" ".join(line for line in lines if not line.startswith("\t")).split()).rstrip(".?")
        for password in self._passwords:
            said = said.replace(password, "***")
        return said

    def _key(self, connection: Connection, name: str) -> int:
        """A lock's number: of this name in this schema."""
        schema = connection.dialect.default_schema_name or "public"
        digest = hashlib.blake2b(f"importer\n{schema}\n{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def _unreadable(named: str, remedy: str) -> StoreUnusableError:
    return StoreUnusableError("The address of the store cannot be read.", where=named, remedy=remedy)


def _raw(connection: Connection) -> GuardedConnection:
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, GuardedConnection)
    return raw


def _release(connection: Connection, key: int) -> None:
    if connection.closed or connection.invalidated:
        return
    try:
        connection.execute(select(func.pg_advisory_unlock(literal(key, BigInteger))))
        connection.commit()
    except Exception:  # noqa: BLE001 - a connection that is lost has no lock; one that is not must not keep it
        with suppress(Exception):
            connection.invalidate()


def _still_there(raw: GuardedConnection, *_: object) -> None:
    """Tries a kept connection before it is used; the pool makes another one of one that is lost."""
    usual, raw.silence_max_s = raw.silence_max_s, PING_MAX_S
    try:
        raw.execute("")
        raw.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error
    finally:
        raw.silence_max_s = usual


def has_password(url: str) -> bool:
    """Whether an address has a password in it; False for what is no address."""
    with suppress(psycopg.Error):
        known = conninfo.conninfo_to_dict(url)
        return known.get("password") is not None or known.get("sslpassword") is not None
    return False


def _shown(known: Mapping[str, Any]) -> str:
    """The address for a person."""
    if known.get("service"):
        return f"postgresql://?service={known['service']}"
    user = f"{known['user']}@" if known.get("user") else ""
    port = f":{known['port']}" if known.get("port") else ""
    host = str(known.get("host") or "")
    if host.startswith("/"):  # a socket of this computer
        return f"postgresql://{user}{port}/{known.get('dbname') or ''}?host={host}"
    return f"postgresql://{user}{host}{port}/{known.get('dbname') or ''}"
