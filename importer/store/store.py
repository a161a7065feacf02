"""The store of all batches: where everything that must be known again is kept.

store = open_store(home().root, url)                  # url: IMPORTER_STORE, None for the embedded store
with store.stage(batch_id) as staging:
    staging.add(rows, at)
    store.duplicates(batch).overlap()                 # shown, asked about
    with store.publish(staging, batch, check) as owned:
        writer = StoreWriter(owned) …
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from getpass import getuser
from pathlib import Path
from typing import Final, Self

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, true, update

from importer.errors import ResultsError, StoreError, StoreUnusableError
from importer.store import schema
from importer.store.batch_rows import BatchRows, chunked, claim_key, summaries
from importer.store.copying import MOVED_TO, copy_batches
from importer.store.database import Database, close_quietly
from importer.store.duplicates import DuplicateCheck, Recognition
from importer.store.ownership import BatchChange, Ownership, Staging, remove_rows
from importer.store.pace import StoredPace
from importer.store.records import IN_DOUBT, Batch, BatchSummary, is_batch_id
from importer.store.sqlite import FILE_NAME, SqliteDatabase

TRIES: Final = 5
LOCK_AGAIN_S: Final = 0.1
"""A command that lists batches holds a batch's lock for a moment."""
OWNER_SILENT_S: Final = 30.0
"""An owner of a batch in a team's store is heard of every few seconds, unless its computer sleeps, its
process was stopped or its connection is dead: then another process may end the connection and take the batch
over."""
URL_SCHEMES: Final = ("postgresql://", "postgres://")
_ASKED_FOR: Final = ("tenant", "rehearsal", "source", "created_at", "content", "source_cells")
"""Facts of a batch that are columns, too: batches are found by them."""
_batch: Final = schema.batch.c
_row: Final = schema.row.c


def os_user() -> str:
    """The operating system's user, for `Batch.os_user`."""
    try:
        return getuser()
    except (ImportError, KeyError, OSError):  # a number without a name; which one depends on Python
        return "unknown"


def computer() -> str:
    """This computer's name, for `Batch.computer`."""
    return platform.node() or "unknown"


def open_store(
    home: Path, url: str | None = None, *, create: bool = True, named: str = "IMPORTER_STORE"
) -> Store:
    """The store at `url` (`postgresql://…`), else the embedded one in the folder `home`.

    Applies the steps that an older schema lacks, under a lock. create: False for commands that leave nothing
    behind; where there is no embedded store yet, an empty one in memory stands in. named: what holds `url`.

    Raises StoreUnusableError when it cannot be reached, is damaged, of a newer importer, or cannot be
    written.
    """
    if url and not url.startswith(URL_SCHEMES):
        raise StoreUnusableError(
            "This is not the address of a store.",
            where=named,
            remedy="It looks like postgresql://user@host/database.",
        )
    database: Database | None = None
    try:
        if url:
            # A team's store alone needs its driver.
            from importer.store.postgresql import PostgresqlDatabase

            database = team = PostgresqlDatabase(url, named)
            team.expect_fit()
        elif create or (home / FILE_NAME).exists():
            database = SqliteDatabase(home)
        else:
            database = SqliteDatabase(None)
        database.bring_up_to_date()
        return Store(database)
    except BaseException as error:
        if database is not None:
            database.close()
        if isinstance(error, StoreError):
            raise StoreUnusableError(error.what, where=error.where, remedy=error.remedy) from None
        raise


class Store:
    """Opened by `open_store`. Methods raise StoreError for trouble with the database, and ResultsError for a
    batch that is not there, in use, erased, or in a store that was moved. Methods may be called from any
    thread.

    location: for a person: the file, or the URL without its password. dialect: `sqlite` or `postgresql`.
    moved_to: where the embedded store was copied to (without password): it is read-only from then on.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.location = database.location
        self.dialect = database.dialect
        self.moved_to = self.fact(MOVED_TO)

    def __repr__(self) -> str:
        return f"<Store {self.location}>"

    @property
    def is_kept(self) -> bool:
        """Whether it is anywhere: an empty one in memory stands in where nothing was stored yet."""
        return not isinstance(self.database, SqliteDatabase) or self.database.path is not None

    def close(self) -> None:
        """Idempotent."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- which batches there are --------------------------------------------------------------------

    def batches(self) -> list[BatchSummary]:
        """Published batches of all tenants, rehearsals too, the latest first."""
        return self._summaries(true())

    def _summaries(self, which: ColumnElement[bool]) -> list[BatchSummary]:
        with self.database.snapshot() as connection:
            return summaries(self.database, connection, which)

    def summary(self, batch_id: str) -> BatchSummary | None:
        """None when there is no such batch."""
        return next(iter(self._summaries(_batch.id == batch_id)), None)

    def knows(self, batch_id: str) -> bool:
        """Whether there is such a batch."""
        with self.database.reading() as connection:
            asked = select(_batch.key).where(_batch.id == batch_id, _batch.published)
            return connection.execute(asked).first() is not None

    def running(self, batch_id: str) -> bool:
        """Whether a process owns it now."""
        return bool(self.database.locked([batch_id]))

    def by_source(self, source: Path, *, rehearsal: bool = False) -> BatchSummary | None:
        """The latest batch (or rehearsal) of the sheet at this path."""
        which = and_(_batch.source == str(source.absolute()), _batch.rehearsal == rehearsal)
        return next(iter(self._summaries(which)), None)

    def by_source_cells(self, digest: str, *, rehearsal: bool = False) -> BatchSummary | None:
        """The latest batch of a sheet with these ordered source cells, wherever it is and is called now."""
        which = and_(_batch.source_cells == digest, _batch.rehearsal == rehearsal)
        return next(iter(self._summaries(which)), None)

    def by_results(self, digest: str) -> str | None:
        """The id of the batch whose results file was last written with this digest."""
        fact = schema.fact.c
        written = and_(fact.name == "results_digest", fact.value == json.dumps(digest))
        asked = select(_batch.id).join(schema.fact, fact.batch == _batch.key).where(_batch.published, written)
        with self.database.reading() as connection:
            found: str | None = connection.execute(asked.limit(1)).scalar()
        return found

    def open(self, batch_id: str) -> BatchRows:
        """For reading, also beside the batch's owner. Raises ResultsError when there is no such batch."""
        with self.database.reading() as connection:
            return BatchRows(self.database, self._key(connection, batch_id), batch_id)

    def holders(self, tenant: str, activity_ids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Those of the Ids (as asked for; GUIDs are compared in any case) that a row of a batch of the tenant
        holds, or held before its activity was deleted by hand: (batch id, position) of the row that created
        the activity."""
        asked = {claim_key(one): one for one in activity_ids}
        claim = schema.claim.c
        found: dict[str, tuple[str, int]] = {}
        with self.database.reading() as connection:
            for some in chunked(asked):
                claims = (
                    select(claim.activity_id, _batch.id, claim.position)
                    .join_from(schema.claim, schema.batch, _batch.key == claim.batch)
                    .where(claim.tenant == tenant, claim.activity_id.in_(some))
                )
                for activity_id, batch_id, position in connection.execute(claims):
                    found[asked[activity_id]] = (batch_id, position)
        return found

    def in_doubt_elsewhere(self, tenant: str, account: str, apart_from: str) -> list[tuple[str, bytes]]:
        """(batch id, body) of other batches' rows on an account that are being sent or in doubt: what could
        be taken for a row of ours. One entry for each call."""
        attempt = schema.attempt.c
        calls = (
            select(_batch.id, func.coalesce(attempt.body, _row.activity))
            .join_from(schema.batch, schema.row, _row.batch == _batch.key)
            .join(schema.attempt, and_(attempt.batch == _row.batch, attempt.position == _row.position))
            .where(
                _batch.tenant == tenant,
                _batch.published,
                _batch.id != apart_from,
                _row.status.in_([int(status) for status in IN_DOUBT]),
                _row.account == account.lower(),
            )
        )
        with self.database.reading() as connection:
            return [(batch_id, body) for batch_id, body in connection.execute(calls)]

    # ---- a new batch --------------------------------------------------------------------------------

    def stage(self, batch_id: str) -> Staging:
        """Begins to stage a batch; removes what dead processes left staged. Raises ResultsError when the
        batch exists already."""
        self._expect_writable()
        if not is_batch_id(batch_id):
            raise ResultsError(f"{batch_id!r} is not a batch id.")
        self.clear_away()
        with ExitStack() as held:
            connection = self._hold(held, batch_id, durable=False)
            with self.database.writing(connection) as writing:
                if writing.execute(select(_batch.key).where(_batch.id == batch_id)).first() is not None:
                    raise ResultsError("A batch of this id is in the store already.", where=batch_id)
                made = insert(schema.batch).values(id=batch_id).returning(_batch.key)
                key = writing.execute(made).scalar_one()
            rows = BatchRows(self.database, key, batch_id)
            return Staging(rows, connection, held.pop_all())

    def duplicates(self, batch: Batch) -> DuplicateCheck:
        """A staged or published batch's pending rows compared with the tenant's other batches."""
        return DuplicateCheck(self.database, batch)

    def recognition(self) -> Recognition:
        """For `check`: nothing is staged."""
        return Recognition(self.database)

    def publish(
        self, staging: Staging, batch: Batch, check: Callable[[DuplicateCheck], None] | None = None
    ) -> Ownership:
        """In one transaction, one tenant at a time: `check` compares once more (what it raises undoes all),
        batches that never sent are removed, and the batch is there, owned by this process."""
        self._expect_writable()
        held = staging.release()
        if batch.id != staging.rows.id or held is None:
            raise ValueError(f"{batch.id} is not staged here")
        with held:
            try:
                connection = staging.connection
                self.database.set_durable(connection, durable=True)
                with ExitStack() as replaced, self.database.writing(connection, patient=True) as writing:
                    self.database.one_at_a_time(writing, f"tenant {batch.tenant}")
                    compared = DuplicateCheck(self.database, batch, connection=writing, publishing=True)
                    if check is not None and not batch.rehearsal:
                        check(compared)
                    self._replace(writing, compared, replaced)
                    number = self._register(writing, staging.rows, batch)
            except BaseException:
                with suppress(StoreError):
                    remove_rows(self.database, staging.rows.key)
                raise
            return Ownership(staging.rows, connection, held.pop_all(), number=number)

    def _replace(self, connection: Connection, compared: DuplicateCheck, replaced: ExitStack) -> None:
        """Removes batches that never sent, unless somebody begins to work on one just now."""
        for one in compared.replaced():
            batch_id = one.batch.id
            held = replaced.enter_context(self.database.holding(batch_id, connection))
            if not held or not BatchRows(self.database, one.key, batch_id, connection).never_sent():
                raise ResultsError(
                    "This batch has begun to send in another window.",
                    where=batch_id,
                    remedy="Try again when it has ended. Nothing was sent from here.",
                    code="in-use",
                )
            connection.execute(delete(schema.batch).where(_batch.key == one.key))

    def _register(self, connection: Connection, rows: BatchRows, batch: Batch) -> int:
        """The batch with its facts and digests, visible from the commit on. Gives the owner's number."""
        staged = connection.execute(select(func.count()).where(_row.batch == rows.key)).scalar_one()
        if staged != batch.rows:
            raise StoreError(f"{staged:,} rows were staged, not {batch.rows:,}.", where=batch.id)
        BatchChange(rows, connection).keep_facts(**batch.facts())
        return int(
            connection.execute(
                update(schema.batch)
                .where(_batch.key == rows.key, ~_batch.published)
                .values({name: getattr(batch, name) for name in _ASKED_FOR})
                .values(published=True, **self._owner_values())
                .returning(_batch.owner)
            ).scalar_one()
        )

    def withdraw(self, owned: Ownership) -> None:
        """Takes back a batch that never sent a call (its results file could not be written), or was rebuilt
        and never sent one here."""
        rows = owned.rows
        if not (rows.never_sent() if rows.batch().rebuilt is None else next(rows.calls(), None) is None):
            raise StoreError("The batch has sent calls and cannot be withdrawn.", where=owned.rows.id)
        with owned.transaction(patient=True) as connection:
            connection.execute(delete(schema.batch).where(_batch.key == owned.rows.key))
        owned.close()

    # ---- a batch that there is ----------------------------------------------------------------------

    def own(self, batch_id: str) -> Ownership:
        """Raises ResultsError when another process owns it (with who and where), when there is no such batch,
        when it was erased, or when the store was moved."""
        self._expect_writable()
        with self.database.reading() as connection:
            key = self._key(connection, batch_id)
            erased = connection.execute(select(_batch.erased_at).where(_batch.key == key)).scalar()
        if erased is not None:
            raise erased_error(batch_id, erased)
        with ExitStack() as held:
            connection = self._hold(held, batch_id)
            with self.database.writing(connection) as writing:
                own = update(schema.batch).where(_batch.key == key).values(**self._owner_values())
                number = writing.execute(own.returning(_batch.owner)).scalar()
                if number is None:
                    raise ResultsError("The batch was removed in another window.", where=batch_id)
                rows = BatchRows(self.database, key, batch_id)
                team = self.dialect == "postgresql"
                marked = rows.inside(writing).newest_mark_s() if team else None
            return Ownership(rows, connection, held.pop_all(), number=number, taken_over_s=marked)

    def replace_rehearsals(self, source: str, apart_from: str) -> list[Batch]:
        """Removes rehearsals of this sheet that nobody owns; what they were."""
        which = and_(_batch.rehearsal, _batch.source == source, _batch.id != apart_from)
        found = self._summaries(which)  # one may run in another window
        return [one.batch for one in found if self._removed(one.key, one.batch.id)]

    def erase(self, batch_id: str) -> None:
        """Removes a batch's customer data: cells, bodies, messages, lookups, readings, corrections, the names
        of its sheet's columns and its mapping. Fingerprints, digests, Ids and counts stay; rows that are
        pending are skipped from now on. Afterwards no byte of the data is in any file of the embedded store.
        Can be repeated.

        Raises ResultsError as `own`, StoreError when another process reads and the log cannot be emptied."""
        self._expect_writable()
        summary = self.summary(batch_id)
        if summary is None or summary.erased_at is None:
            with self.own(batch_id) as owned, owned.change() as change:
                change.erase()
        self.database.overwrite()

    def copy_to(self, other: Store, progress: Callable[[int], None] | None = None) -> int:
        """Copies every batch with all that belongs to it to another store; how many rows. Can be repeated:
        what is half there is copied again, what is whole there is compared. All of it appears there at once.
        Then this (embedded) store is read-only and names the other.

        Raises ResultsError when a batch is in use, or is there with other contents."""
        if self.moved_to not in {None, other.location}:
            raise ResultsError(f"The store was copied to {self.moved_to} already.", where=self.location)
        if self.dialect != "sqlite" or other.location == self.location:
            raise ResultsError("Only the embedded store can be copied to a team's.", where=self.location)
        other.clear_away()
        rows = copy_batches(self.database, other.database, progress)
        self.moved_to = other.location
        return rows

    # ---- pace ---------------------------------------------------------------------------------------

    def pace(self, tenant: str) -> StoredPace:
        """What the runs on a tenant share about the pace."""
        return StoredPace(self.database, tenant)

    def fact(self, name: str) -> str | None:
        """A fact about the store as a whole, None if it is not known."""
        with self.database.reading() as connection:
            asked = select(schema.store_fact.c.value).where(schema.store_fact.c.name == name)
            found: str | None = connection.execute(asked).scalar()
        return found

    def keep_fact(self, name: str, value: str) -> None:
        """For `fact`."""
        with self.database.writing() as connection:
            self.database.upsert(connection, schema.store_fact, [{"name": name, "value": value}])

    # ---- for `importer store` ------------------------------------------------------------------------

    def version(self) -> str:
        """The schema's version, as a person may report it."""
        with self.database.reading() as connection:
            return self.database.version(connection) or ""

    def latency_s(self) -> float:
        """Of one small question, the median of five."""
        taken = []
        with self.database.reading() as connection:
            for _ in range(5):
                started = time.perf_counter()
                connection.execute(select(1)).scalar()
                taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    # ---- inside -------------------------------------------------------------------------------------

    def clear_away(self) -> None:
        """Removes what dead processes left staged."""
        with self.database.reading() as connection:
            left = connection.execute(select(_batch.key, _batch.id).where(~_batch.published)).all()
        alive = self.database.locked([batch_id for _, batch_id in left])
        for key, batch_id in left:
            if batch_id not in alive:
                self._removed(key, batch_id)

    def _removed(self, key: int, batch_id: str) -> bool:
        """Removes a batch, unless a process has it."""
        with (
            self.database.connection(durable=False) as connection,
            self.database.holding(batch_id, connection) as held,
        ):
            if held:
                remove_rows(self.database, key, connection)
        return held

    def _key(self, connection: Connection, batch_id: str) -> int:
        key = connection.execute(select(_batch.key).where(_batch.id == batch_id, _batch.published)).scalar()
        if key is None:
            raise ResultsError(
                "There is no batch of this id in the store.",
                where=batch_id if is_batch_id(batch_id) else repr(batch_id),
                remedy="`importer status` lists the batches.",
            )
        return int(key)

    def _hold(self, held: ExitStack, batch_id: str, *, durable: bool = True) -> Connection:
        """A connection with the batch's lock, both until `held` is closed. Raises ResultsError when another
        process has it."""
        connection = self.database.connection(durable=durable)
        held.callback(close_quietly, connection)
        name, silent_s = "", 0.0
        for tried in range(TRIES):
            release = self.database.lock(batch_id, connection)
            if release is not None:
                held.callback(release)
                return connection
            if not tried:
                name, silent_s = self._owner(batch_id)
                if silent_s > OWNER_SILENT_S:
                    self.database.free(batch_id)
            if tried + 1 < TRIES:
                time.sleep(LOCK_AGAIN_S)
        raise ResultsError(
            f"The batch is in use by {name or 'another window'}.",
            where=batch_id,
            remedy="Wait until it has ended there, or stop it there with Ctrl-C. Nothing was sent from here.",
            code="in-use",
        )

    def _owner(self, batch_id: str) -> tuple[str, float]:
        """Who owns a batch, or did last, and how long ago it was heard of (seconds, the store's clock)."""
        asked = select(_batch.owner_name, self.database.clock() - _batch.owner_seen).where(
            _batch.id == batch_id
        )
        with self.database.reading() as connection:
            found = connection.execute(asked).first()
        return ("", 0.0) if found is None else (found[0], found[1])

    def _owner_values(self) -> dict[str, object]:
        return {
            "owner": _batch.owner + 1,
            "owner_name": f"{os_user()} on {computer()}",
            "owner_seen": self.database.clock(),
        }

    def _expect_writable(self) -> None:
        self.moved_to = self.fact(MOVED_TO)
        if self.moved_to is not None:
            raise ResultsError(
                f"This store was copied to {self.moved_to} and is read-only since.",
                where=self.location,
                remedy="Set IMPORTER_STORE to that address. Two stores would send rows twice.",
            )


def erased_error(batch_id: str, erased_at: str) -> ResultsError:
    """What there is to say of a batch whose customer data was removed."""
    return ResultsError(
        f"The customer data of this batch was erased on {erased_at[:10]}.",
        where=batch_id,
        remedy="It cannot be resumed, verified, corrected or reported on any more.",
        code="erased",
    )
