"""A batch beside what was imported before: the same sheet, rows in common.

All of it is SQL: a million rows are compared without being held in memory, and many identical ones without
being paired one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, or_, select

from importer.store import schema
from importer.store.batch_rows import ASKED_MAX, chunked
from importer.store.batches import is_void, summaries
from importer.store.database import Database
from importer.store.records import (
    IN_DOUBT,
    Batch,
    BatchSummary,
    Earlier,
    ImportedBefore,
    Overlap,
    RowStatus,
)

_batch: Final = schema.batch.c
_row: Final = schema.row.c
_CREATED: Final = int(RowStatus.CREATED)
_OPEN: Final = (int(RowStatus.PENDING), *map(int, IN_DOUBT))


def _held(column: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the columns of a table or its alias
    """Its batch may still create the row, or cannot say whether it did. A failed row that was ever in doubt
    is held: its own batch looks again before it sends it once more, which another batch could not do."""
    return or_(column.status.in_(_OPEN), and_(column.status == int(RowStatus.FAILED), column.doubted))


class DuplicateCheck:
    """A staged batch, or rows of one that `resume` would send, compared with the tenant's other batches. Rows
    to be sent are those that are pending at the time of each call. Rehearsals are compared with nothing."""

    def __init__(
        self,
        database: Database,
        batch: Batch,
        *,
        positions: Collection[int] | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.batch = batch
        self._database = database
        self._connection = connection
        self._positions = None if positions is None else sorted(positions)

    def same_sheet(self) -> list[BatchSummary]:
        """Batches with the same ordered activities or the same ordered source cells, the latest first."""
        with self._reading() as connection:
            return [
                summary
                for key, summary in self._same(connection)
                if not is_void(self._database, connection, key, summary)
            ]

    def overlap(self) -> Overlap:
        """How many rows other batches of the tenant have created, or hold open."""
        if self.batch.rehearsal:
            return Overlap()
        with self._reading() as connection:
            others = self._others(connection)
            paired = self._paired(others).subquery()
            created = connection.execute(select(paired.c.batch, func.count()).group_by(paired.c.batch)).all()
            held: Counter[bytes] = Counter()
            mine: dict[bytes, int] = {}
            by: Counter[int] = Counter()
            for fingerprint, key, theirs, ours in connection.execute(self._holding(others)):
                held[fingerprint] += theirs
                mine[fingerprint] = ours
                by[key] += min(theirs, ours)
            named = dict(
                summaries(self._database, connection, _batch.key.in_({*by, *(key for key, _ in created)}))
            )
        counts = [(key, count) for key, count in created]
        return Overlap(
            created=sum(count for _, count in counts),
            created_by=_named(named, counts),
            held=sum(min(count, mine[fingerprint]) for fingerprint, count in held.items()),
            held_by=_named(named, by.items()),
        )

    def earlier(self) -> Iterator[Earlier]:
        """The rows that were created before, in source order, each with an Id of its own."""
        if self.batch.rehearsal:
            return
        with self._reading() as connection:
            paired = self._paired(self._others(connection)).subquery()
            asked = (
                select(paired.c.position, paired.c.activity_id, _batch.id, paired.c.created_position)
                .join(schema.batch, _batch.key == paired.c.batch)
                .order_by(paired.c.position)
            )
            found = connection.execute(asked).all()
        for values in found:
            yield Earlier(*values)

    def replaced(self) -> list[BatchSummary]:
        """Batches that never sent and that nobody owns, of the same sheet or with rows of it: publishing
        removes them. Their results files have become meaningless."""
        with self._reading() as connection:
            return [summary for _, summary in self.void(connection)]

    def void(self, connection: Connection) -> list[tuple[int, BatchSummary]]:
        """For this room: (key, summary) of `replaced`."""
        if self.batch.rehearsal:
            return []
        holding = connection.execute(self._holders()).scalars().all()
        found = dict(self._same(connection))
        found |= dict(summaries(self._database, connection, _batch.key.in_(holding)))
        return [
            (key, summary)
            for key, summary in found.items()
            if is_void(self._database, connection, key, summary)
        ]

    # ---- inside -------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._connection is None:
            # One transaction, so that all questions see the same.
            with self._database.snapshot() as connection:
                yield connection
        else:
            with self._database.trouble():
                yield self._connection

    def _same(self, connection: Connection) -> list[tuple[int, BatchSummary]]:
        if self.batch.rehearsal:
            return []
        digest = schema.digest.c
        alike = select(digest.batch).where(digest.value.in_((self.batch.content, self.batch.source_cells)))
        return summaries(self._database, connection, and_(self._of_tenant(), _batch.key.in_(alike)))

    def _of_tenant(self) -> ColumnElement[bool]:
        """Batches that ours is compared with."""
        tenant = select(schema.tenant.c.key).where(schema.tenant.c.name == self.batch.tenant)
        return and_(
            _batch.published,
            ~_batch.rehearsal,
            _batch.id != self.batch.id,
            _batch.tenant == tenant.scalar_subquery(),
        )

    def _others(self, connection: Connection) -> ColumnElement[bool]:
        """The same without those that are void."""
        void = [key for key, _ in self.void(connection)]
        return and_(self._of_tenant(), _batch.key.not_in(void)) if void else self._of_tenant()

    def _mine(self) -> Select[*tuple[Any, ...]]:
        """Our rows that are to be sent, the n-th of each fingerprint."""
        me = select(_batch.key).where(_batch.id == self.batch.id).scalar_subquery()
        nth = func.row_number().over(partition_by=_row.fingerprint, order_by=_row.position).label("nth")
        asked = select(_row.position, _row.fingerprint, nth).where(
            _row.batch == me, _row.status == int(RowStatus.PENDING)
        )
        if self._positions is not None:
            some = list(chunked(self._positions))
            asked = asked.where(or_(*(_row.position.in_(each) for each in some)) if some else _row.batch < 0)
        return asked

    def _known(self, others: ColumnElement[bool]) -> Subquery:
        """Our rows that have an equal one elsewhere: mostly none, so the rest is done among these."""
        mine = self._mine().subquery("mine")
        other = schema.row.alias("known")
        there = (
            select(other.c.position)
            .join(schema.batch, _batch.key == other.c.batch)
            .where(other.c.fingerprint == mine.c.fingerprint, others)
        )
        return select(mine).where(there.exists()).subquery("hit")

    def _paired(self, others: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        """Our rows beside created ones, the n-th beside the n-th; without those that a row of ours took
        over."""
        hit = self._known(others)
        created, taken = schema.row.alias("created"), schema.row.alias("taken")
        me = select(_batch.key).where(_batch.id == self.batch.id).scalar_subquery()
        ours = (
            select(taken.c.position)
            .where(
                taken.c.batch == me,
                taken.c.taken_batch == created.c.batch,
                taken.c.taken_position == created.c.position,
            )
            .exists()
        )
        nth = func.row_number().over(
            partition_by=created.c.fingerprint, order_by=(created.c.batch, created.c.position)
        )
        theirs = (
            select(
                created.c.fingerprint,
                created.c.batch,
                created.c.position,
                created.c.activity_id,
                nth.label("nth"),
            )
            .join(schema.batch, _batch.key == created.c.batch)
            .where(
                created.c.fingerprint.in_(select(hit.c.fingerprint)),
                created.c.status == _CREATED,
                created.c.taken_batch.is_(None),
                others,
                ~ours,
            )
            .subquery("theirs")
        )
        return select(
            hit.c.position, theirs.c.activity_id, theirs.c.batch, theirs.c.position.label("created_position")
        ).join_from(hit, theirs, and_(hit.c.fingerprint == theirs.c.fingerprint, hit.c.nth == theirs.c.nth))

    def _holding(self, others: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        """(fingerprint, batch, rows that it holds open, rows of ours)."""
        hit = self._known(others)
        ours = (
            select(hit.c.fingerprint, func.count().label("ours")).group_by(hit.c.fingerprint).subquery("ours")
        )
        return (
            select(_row.fingerprint, _row.batch, func.count(), func.max(ours.c.ours))
            .join_from(ours, schema.row, _row.fingerprint == ours.c.fingerprint)
            .join(schema.batch, _batch.key == _row.batch)
            .where(_held(_row), others)
            .group_by(_row.fingerprint, _row.batch)
        )

    def _holders(self) -> Select[*tuple[Any, ...]]:
        """Other batches that hold rows of ours open."""
        hit = self._known(self._of_tenant())
        return (
            select(_row.batch)
            .join_from(hit, schema.row, _row.fingerprint == hit.c.fingerprint)
            .join(schema.batch, _batch.key == _row.batch)
            .where(_held(_row), self._of_tenant())
            .distinct()
        )


class Recognition:
    """For `check`: which batches, of any tenant, have rows of a sheet that is only read. Not for
    rehearsals."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: Counter[bytes] = Counter()
        self._counted: Counter[bytes] = Counter()
        with database.reading() as connection:
            known = select(_batch.key).where(_batch.published, ~_batch.rehearsal).limit(1)
            self._anything = connection.execute(known).first() is not None

    def add(self, fingerprint: bytes) -> None:
        """The next row's `activity.fingerprint`."""
        if self._anything:
            self._waiting[fingerprint] += 1
            if len(self._waiting) >= ASKED_MAX:
                self._look()

    def found(self, content: str, source_cells: str) -> list[ImportedBefore]:
        """The digests as in `Batch`. The latest batch first."""
        if not self._anything:
            return []
        self._look()
        with self._database.snapshot() as connection:
            digest = schema.digest.c
            alike = select(digest.batch).where(digest.value.in_((content, source_cells)))
            whole = set(connection.execute(alike).scalars())
            rows: Counter[int] = Counter()
            for some in chunked(self._counted):
                for fingerprint, key, theirs in connection.execute(_known_rows(some)):
                    rows[key] += min(theirs, self._counted[fingerprint])
            wanted = and_(_batch.key.in_({*whole, *rows}), ~_batch.rehearsal)
            named = [
                (key, summary)
                for key, summary in summaries(self._database, connection, wanted)
                if not is_void(self._database, connection, key, summary)
            ]
        return [ImportedBefore(summary, rows[key], key in whole) for key, summary in named]

    def _look(self) -> None:
        """Keeps those that any batch has."""
        with self._database.reading() as connection:
            asked = select(_row.fingerprint).where(_row.fingerprint.in_(list(self._waiting))).distinct()
            for fingerprint in connection.execute(asked).scalars():
                self._counted[fingerprint] += self._waiting[fingerprint]
        self._waiting.clear()


def _known_rows(fingerprints: list[bytes]) -> Select[*tuple[Any, ...]]:
    """(fingerprint, batch, rows that are created there or held open)."""
    counts = case((or_(_row.status == _CREATED, _held(_row)), 1), else_=0)
    return (
        select(_row.fingerprint, _row.batch, func.sum(counts))
        .where(_row.fingerprint.in_(fingerprints))
        .group_by(_row.fingerprint, _row.batch)
        .having(func.sum(counts) > 0)
    )


def _named(named: dict[int, BatchSummary], counts: Any) -> tuple[tuple[BatchSummary, int], ...]:  # noqa: ANN401
    found = [(named[key], count) for key, count in counts if key in named]
    return tuple(sorted(found, key=lambda each: each[0].batch.created_at, reverse=True))
