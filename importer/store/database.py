"""A database and its connections: how transactions begin, and how trouble is reported.

What differs between SQLite and PostgreSQL is in `sqlite.py` and `postgresql.py`; everything else in this
room is written once for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from importlib.resources import files
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from importer.errors import StoreError, StoreUnusableError
from importer.store.schema import VERSIONS

TAKEN_ID: Final = ("pk_claim", "claim.tenant, claim.activity_id")
"""How the databases name the constraint that an Id belongs to one row."""


class IdTakenError(StoreError):
    """A row was given the Id that another row of the tenant has. Nothing of this change was written."""


Release = Callable[[], object]
"""Gives a lock back. Idempotent; never raises."""


def close_quietly(connection: Connection) -> None:
    """Whatever became of it."""
    with suppress(Exception):
        connection.close()


class Database(ABC):
    """Connections to one database. location: for a person, never with a password. driver_error: what its
    driver raises. dialect_insert: SQLAlchemy's `insert` that knows `ON CONFLICT`."""

    engine: Engine
    kept_engine: Engine
    dialect: str
    location: str
    driver_error: type[Exception]
    dialect_insert: Callable[[Table], Any]
    read_options: Mapping[str, Any]
    snapshot_options: Mapping[str, Any]
    write_options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.location}>"

    # ---- connections --------------------------------------------------------------------------------

    @contextmanager
    def reading(self, connection: Connection | None = None) -> Iterator[Connection]:
        """For questions: each statement sees what is committed when it begins. connection: the one whose
        transaction is to be read in instead."""
        with self.trouble(), ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(self.engine.connect()).execution_options(**self.read_options)
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """For several questions that must see the same."""
        with self.trouble(), self.engine.connect() as connection:
            yield connection.execution_options(**self.snapshot_options)

    @contextmanager
    def writing(self, connection: Connection | None = None, *, patient: bool = False) -> Iterator[Connection]:
        """One transaction: all of it, durable on return, or nothing. connection: the one to use, else any.

        patient: it may take minutes (a statement otherwise counts as lost after 15 s)."""
        with self.trouble(), ExitStack() as stack:
            self.expect_in_place()
            if connection is None:
                connection = stack.enter_context(self.engine.connect())
                connection = connection.execution_options(**self.write_options)
            with connection.begin():
                if patient:
                    stack.enter_context(self.patience(connection))
                yield connection

    def connection(self, *, durable: bool = True) -> Connection:
        """One for a long time, to be closed by the caller: for `writing(connection)`. durable: see
        `set_durable`."""
        with self.trouble():
            connection = self.kept_engine.connect().execution_options(**self.write_options)
            self.set_durable(connection, durable=durable)
            return connection

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """What goes wrong with the database as one StoreError with a sentence; never with a password."""
        try:
            yield
        except IntegrityError as error:
            said = self.said(error)
            if any(name in said for name in TAKEN_ID):
                raise IdTakenError("Another row has this Id.", where=self.location) from None
            raise StoreError(f"The store refused a change: {said}.", where=self.location) from None
        except (SQLAlchemyError, self.driver_error, OSError) as error:
            raise self.lost(error) from None
        except (UnicodeError, OverflowError) as error:
            raise StoreError(f"The store cannot hold a value: {error}.", where=self.location) from None

    def said(self, error: BaseException) -> str:
        """What the database says, on one line."""
        original = getattr(error, "orig", None) or error
        return " ".join(str(original).split())

    @abstractmethod
    def lost(self, error: BaseException) -> StoreError:
        """Trouble with reading or writing as a sentence and what to do."""

    # ---- what differs -------------------------------------------------------------------------------

    def patience(self, connection: Connection) -> AbstractContextManager[None]:
        """Inside a transaction: statements may take minutes."""
        return nullcontext()

    @abstractmethod
    def clock(self) -> ColumnElement[float]:
        """The store's clock, Unix seconds, to be used in a statement."""

    def now(self, connection: Connection) -> float:
        """Unix seconds by the store's clock."""
        return float(connection.execute(select(self.clock())).scalar_one())

    @abstractmethod
    def lock(self, name: str, connection: Connection) -> Release | None:
        """Takes a name that one process holds until it is given back or ends; without waiting, on this
        connection where that matters. None when another has it."""

    def forget_lock(self, name: str) -> None:  # noqa: B027 - most keep nothing
        """Removes what is kept of a lock that this process holds and nobody will ask for again."""

    def free(self, name: str) -> bool:
        """Ends the connection of the holder of a name, who was not heard of for long; whether that was
        done."""
        return False

    @abstractmethod
    def locked(self, names: Sequence[str]) -> set[str]:
        """Those of the names that any process holds now."""

    @contextmanager
    def holding(self, name: str, connection: Connection) -> Iterator[bool]:
        """The name's lock for a while; False when another process has it."""
        release = self.lock(name, connection)
        try:
            yield release is not None
        finally:
            if release is not None:
                release()

    def one_at_a_time(self, connection: Connection, name: str) -> None:  # noqa: B027 - one writes at a time
        """Waits inside a transaction until no other one holds the name; held until its end."""

    @abstractmethod
    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Many rows at once, in the quickest way."""

    def set_durable(self, connection: Connection, *, durable: bool) -> None:  # noqa: B027 - most always are
        """Outside of a transaction. durable: every commit, and all before it, is on the disk before it
        returns (else only once a durable one of this database is)."""

    @abstractmethod
    def overwrite(self) -> None:
        """What was deleted is in no file of ours any more; as far as that is in our hands."""

    @abstractmethod
    def size_bytes(self) -> int:
        """On disk."""

    def close(self) -> None:
        """Idempotent."""
        self.engine.dispose()
        self.kept_engine.dispose()

    # ---- both ---------------------------------------------------------------------------------------

    def upsert(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows, each replacing the one of the same key."""
        if rows:
            keys = [column.name for column in table.primary_key]
            inserted = self.dialect_insert(table)
            others = {name: inserted.excluded[name] for name in rows[0] if name not in keys}
            connection.execute(inserted.on_conflict_do_update(index_elements=keys, set_=others), list(rows))

    def version(self, connection: Connection) -> str | None:
        """The step that the schema is at; None when there is none yet."""
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)

    def bring_up_to_date(self) -> None:
        """Applies the steps that the schema lacks, all of them or none; one process at a time.

        Raises StoreUnusableError for a schema of a newer importer, StoreError for trouble."""
        with self.reading() as connection:
            version = self.version(connection)
        if version == VERSIONS[-1]:
            return
        with self.writing(patient=True) as connection:
            self.one_at_a_time(connection, "schema")
            version = self.version(connection)  # asked again: another process may have done it meanwhile
            if version is not None and version not in VERSIONS:
                raise StoreUnusableError(
                    f"A newer importer made the store (version {version}; this one knows {VERSIONS[-1]}).",
                    where=self.location,
                    remedy="Update the importer, then try again. Nothing was changed.",
                )
            if version != VERSIONS[-1]:
                _upgrade(connection)

    def expect_in_place(self) -> None:  # noqa: B027 - most have nothing to do
        """Raises OSError when what is written would be found by nobody."""


def _upgrade(connection: Connection) -> None:
    from alembic import command  # heavy, and needed once
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("importer.store").joinpath("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
