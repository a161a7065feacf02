"""A batch beside what was imported before: the same sheet, rows in common.

All of it is SQL: a million rows are compared without being held in memory, and many identical ones without
being paired one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    and_,
    case,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.schema import DropTable

from importer.store import schema
from importer.store.batch_rows import ASKED_MAX, chunked, is_void, summaries
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
_compared: Final = Table(
    "compared",
    MetaData(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Index("ix_compared_fingerprint", "fingerprint"),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
_OPEN: Final = (int(RowStatus.PENDING), *map(int, IN_DOUBT))


def _held(column: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the columns of a table or its alias
    """Its batch may still create the row, or cannot say whether it did. A failed row that was ever in doubt
    is held: its own batch looks again before it sends it once more, which another batch could not do."""
    return or_(column.status.in_(_OPEN), and_(column.status == int(RowStatus.FAILED), column.doubted))


def _same_sheet(content: str, source_cells: str) -> ColumnElement[bool]:
    return or_(_batch.content == content, _batch.source_cells == source_cells)


class DuplicateCheck:
    """A staged batch, or rows of one that `resume` would send, compared with the tenant's other batches. Rows
    to be sent are those that are pending at the time of each call; of a batch that is published just now also
    those in doubt, since one that was rebuilt has no pending ones. Rehearsals are compared with nothing."""

    def __init__(
        self,
        database: Database,
        batch: Batch,
        *,
        positions: Collection[int] | None = None,
        connection: Connection | None = None,
        publishing: bool = False,
    ) -> None:
        """publishing: nothing of the batch changes between the questions, all of one transaction."""
        self.batch = batch
        self._publishing = publishing
        self._compared = False
        self._database = database
        self._connection = connection
        self._positions = None if positions is None else sorted(positions)

    def same_sheet(self) -> list[BatchSummary]:
        """Batches with the same ordered activities or the same ordered source cells, the latest first."""
        if self.batch.rehearsal:
            return []
        with self._reading() as connection:
            found = summaries(self._database, connection, self._same())
            return [one for one in found if not is_void(self._database, connection, one)]

    def overlap(self) -> Overlap:
        """How many rows other batches of the tenant have created, or hold open."""
        if self.batch.rehearsal:
            return Overlap()
        with self._comparing() as connection:
            void = [one.key for one in self._void(connection)]
            paired = self._paired(void).subquery()
            created = connection.execute(select(paired.c.batch, func.count()).group_by(paired.c.batch)).all()
            held: dict[bytes, tuple[int, int]] = {}
            by: Counter[int] = Counter()
            for fingerprint, key, theirs, ours in connection.execute(self._holding(void)):
                held[fingerprint] = (held.get(fingerprint, (0, 0))[0] + theirs, ours)
                by[key] += min(theirs, ours)
            keys = {*by, *(key for key, _ in created)}
            named = summaries(self._database, connection, _batch.key.in_(keys))
        counts = {key: count for key, count in created}  # noqa: C416 - rows are no pairs to the type
        return Overlap(
            created=sum(counts.values()),
            created_by=tuple((one, counts[one.key]) for one in named if one.key in counts),
            held=sum(min(each) for each in held.values()),
            held_by=tuple((one, by[one.key]) for one in named if one.key in by),
        )

    def earlier(self) -> Iterator[Earlier]:
        """The rows that were created before, in source order, each with an Id of its own."""
        if self.batch.rehearsal:
            return
        with self._comparing() as connection:
            paired = self._paired([one.key for one in self._void(connection)]).subquery()
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
        if self.batch.rehearsal:
            return []
        with self._comparing() as connection:
            return self._void(connection)

    # ---- inside -------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._connection is not None:
            with self._database.reading(self._connection) as connection:
                yield connection
        else:  # one transaction, so that all questions see the same
            with self._database.snapshot() as connection, self._database.patience(connection):
                yield connection

    @contextmanager
    def _comparing(self) -> Iterator[Connection]:
        """With our rows that have an equal one elsewhere, mostly none, in a table of the connection's own:
        the rest is done among these."""
        with self._reading() as connection:
            if not (self._publishing and self._compared):
                self._compare(connection)
                self._compared = True
            yield connection

    def _compare(self, connection: Connection) -> None:
        connection.execute(DropTable(_compared, if_exists=True))
        _compared.create(connection, checkfirst=False)
        if connection.execute(select(_batch.key).where(self._of_tenant()).limit(1)).first() is None:
            return
        for mine in self._mine():
            connection.execute(insert(_compared).from_select(["position", "fingerprint"], mine))
        if self._database.dialect == "postgresql":
            connection.execute(text("ANALYZE compared"))

    def _mine(self) -> Iterator[Select[*tuple[Any, ...]]]:
        """Our rows that are to be sent and that another batch has."""
        me = select(_batch.key).where(_batch.id == self.batch.id).scalar_subquery()
        other = schema.row.alias("known")
        others = select(_batch.key).where(self._of_tenant())
        # By the index on fingerprints, which knows the batch too: our own row is passed over without a look.
        # The sum keeps databases from going through all batches instead.
        there = select(other.c.batch).where(
            other.c.fingerprint == _row.fingerprint, other.c.batch != me, (other.c.batch + 0).in_(others)
        )
        wanted = _row.status == int(RowStatus.PENDING)
        if self._publishing:
            wanted = or_(wanted, _row.status == int(RowStatus.DOUBTFUL))
        asked = select(_row.position, _row.fingerprint).where(_row.batch == me, wanted, there.exists())
        if self._positions is None:
            yield asked
            return
        for some in chunked(self._positions):
            yield asked.where(_row.position.in_(some))

    def _same(self) -> ColumnElement[bool]:
        return and_(self._of_tenant(), _same_sheet(self.batch.content, self.batch.source_cells))

    def _of_tenant(self) -> ColumnElement[bool]:
        """Batches that ours is compared with."""
        ours = _batch.tenant == self.batch.tenant
        return and_(_batch.published, ~_batch.rehearsal, _batch.id != self.batch.id, ours)

    def _void(self, connection: Connection) -> list[BatchSummary]:
        held = self._others([]).with_only_columns(_row.batch).where(_held(_row)).distinct()
        holders = connection.execute(held).scalars().all()
        found = summaries(self._database, connection, or_(self._same(), _batch.key.in_(holders)))
        return [one for one in found if is_void(self._database, connection, one)]

    def _others(self, void: list[int]) -> Select[*tuple[Any, ...]]:
        """Rows of other batches that are equal to one of ours, each once."""
        known = select(_compared.c.fingerprint).distinct().subquery("known")
        others = self._of_tenant() if not void else and_(self._of_tenant(), _batch.key.not_in(void))
        return (
            select(_row.fingerprint)
            .join_from(known, schema.row, _row.fingerprint == known.c.fingerprint)
            .join(schema.batch, _batch.key == _row.batch)
            .where(others)
        )

    def _paired(self, void: list[int]) -> Select[*tuple[Any, ...]]:
        """Our rows beside created ones, the n-th beside the n-th; without those that a row of ours took
        over."""
        taken = schema.row.alias("taken")
        me = select(_batch.key).where(_batch.id == self.batch.id).scalar_subquery()
        ours = select(taken.c.position).where(
            taken.c.batch == me, taken.c.taken_batch == _row.batch, taken.c.taken_position == _row.position
        )
        order = (_row.batch, _row.position)
        nth = func.row_number().over(partition_by=_row.fingerprint, order_by=order).label("nth")
        theirs = (
            self._others(void)
            .with_only_columns(_row.fingerprint, _row.batch, _row.position, _row.activity_id, nth)
            .where(_row.status == _CREATED, _row.taken_batch.is_(None), ~ours.exists())
            .subquery("theirs")
        )
        same = _compared.c.fingerprint
        mine = select(
            _compared.c.position,
            same,
            func.row_number().over(partition_by=same, order_by=_compared.c.position).label("nth"),
        ).subquery("mine")
        return select(
            mine.c.position, theirs.c.activity_id, theirs.c.batch, theirs.c.position.label("created_position")
        ).join_from(
            mine, theirs, and_(mine.c.fingerprint == theirs.c.fingerprint, mine.c.nth == theirs.c.nth)
        )

    def _holding(self, void: list[int]) -> Select[*tuple[Any, ...]]:
        """(fingerprint, batch, rows that it holds open, rows of ours)."""
        same = _compared.c.fingerprint
        ours = select(same, func.count().label("ours")).group_by(same).subquery("ours")
        theirs = (
            self._others(void)
            .with_only_columns(_row.fingerprint, _row.batch, func.count().label("theirs"))
            .where(_held(_row))
            .group_by(_row.fingerprint, _row.batch)
            .subquery("theirs")
        )
        return select(theirs.c.fingerprint, theirs.c.batch, theirs.c.theirs, ours.c.ours).join_from(
            theirs, ours, theirs.c.fingerprint == ours.c.fingerprint
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
            whole = set(
                connection.execute(select(_batch.key).where(_same_sheet(content, source_cells))).scalars()
            )
            rows: Counter[int] = Counter()
            for some in chunked(self._counted):
                for fingerprint, key, theirs in connection.execute(_known_rows(some)):
                    rows[key] += min(theirs, self._counted[fingerprint])
            wanted = and_(_batch.key.in_({*whole, *rows}), ~_batch.rehearsal)
            return [
                ImportedBefore(one, rows[one.key], one.key in whole)
                for one in summaries(self._database, connection, wanted)
                if not is_void(self._database, connection, one)
            ]

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
