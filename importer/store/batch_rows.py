"""Reading batches: which there are; one batch's facts, rows, attempts, lookups, readings, corrections."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Executable, Select, and_, func, or_, select, tuple_

from importer.activity import GUID, Activity
from importer.errors import StoreError, damaged
from importer.store import schema
from importer.store.database import Database
from importer.store.records import (
    CHUNK_ROWS,
    IN_DOUBT,
    Batch,
    BatchSummary,
    CorrectionStatus,
    CreatedRow,
    RowStatus,
    Shown,
    StoredAttempt,
    StoredCorrection,
    StoredRow,
)

T = TypeVar("T")
ASKED_MAX: Final = 500
"""So many values go into one `IN (…)`."""
SHORT_ROWS_TOGETHER: Final = 20_000
"""Rows of a few numbers are read so many at once."""
RATE_ATTEMPTS_MAX: Final = 100_000
_STATUSES: Final = {int(status): status for status in RowStatus}
_batch: Final = schema.batch.c
_fact: Final = schema.fact.c
_row: Final = schema.row.c
_attempt: Final = schema.attempt.c
_ROW: Final = select(*(_row[name] for name in StoredRow._fields))


def chunked(values: Iterable[T], size: int = ASKED_MAX) -> Iterator[list[T]]:
    """Lists of at most `size` of the values, in their order."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


class BatchRows:
    """What the store holds of one batch, read as it is at the moment of each call; also beside its owner.

    Every method raises StoreError when the store cannot be read, or what it holds is damaged. Generators read
    in chunks and hold no transaction between them: rows that change meanwhile may be seen before or after. To
    be used from any one thread at a time.
    """

    def __init__(
        self, database: Database, key: int, batch_id: str, connection: Connection | None = None
    ) -> None:
        self.id = batch_id
        self.key = key
        self.database = database
        self._connection = connection

    def inside(self, connection: Connection) -> BatchRows:
        """The same, read in the transaction of this connection."""
        return BatchRows(self.database, self.key, self.id, connection)

    def __repr__(self) -> str:
        return f"<BatchRows {self.id} of {self.database.location}>"

    # ---- the batch as a whole -----------------------------------------------------------------------

    def batch(self) -> Batch:
        """Raises StoreError when its facts are damaged."""
        with self.sound("facts"):
            return Batch.of(self.facts())

    def facts(self) -> dict[str, Any]:
        """Everything that is known of the batch as a whole: name → JSON value."""
        found = self._all(select(_fact.name, _fact.value).where(_fact.batch == self.key))
        with self.sound("facts"):
            return {name: json.loads(value) for name, value in found}

    def fact(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  (JSON, as it was kept)
        """One fact. Run facts in use: seconds, throttled, rate, going_on, read_back."""
        return self.facts().get(name, default)

    def lookups(self) -> dict[str, str]:
        """What was looked up: question → Id (see `lookups.to_plain`)."""
        lookup = schema.lookup.c
        found = self._all(select(lookup.question, lookup.answer).where(lookup.batch == self.key))
        return {question: answer for question, answer in found}  # noqa: C416 - rows are no pairs to the type

    # ---- rows ---------------------------------------------------------------------------------------

    def counts(self) -> dict[RowStatus, int]:
        """Rows by status, from the index alone; statuses without rows are absent."""
        found = self._all(
            select(_row.status, func.count()).where(_row.batch == self.key).group_by(_row.status)
        )
        return {_status(number): count for number, count in found}

    def has(self, *statuses: RowStatus) -> bool:
        """Whether any row is in one of these statuses: at once, where counting takes its time for a million
        rows."""
        asked = select(_row.position).where(_row.batch == self.key).limit(1)
        return any(self._all(asked.where(_row.status == int(status))) for status in statuses)

    def shown_counts(self) -> dict[str, int]:
        """Rows by the word that people read; every word is there, and `rows` is their sum.

        Raises StoreError when they do not add up to the rows that the batch was staged with.
        """
        shown = shown_counts(self.counts())
        staged = self.fact("rows", shown["rows"])
        if staged != shown["rows"]:
            raise StoreError(
                f"The rows in the store ({shown['rows']:,}) do not add up to the sheet's {staged} rows: this"
                " is a fault of the importer.",
                where=self.id,
                remedy="Keep the store and report it; nothing more was sent.",
            )
        return shown

    def row(self, position: int) -> StoredRow:
        """Raises StoreError when there is none."""
        found = self._rows(_ROW.where(_row.batch == self.key, _row.position == position))
        if not found:
            raise StoreError(f"The store has no row at position {position}.", where=self.id)
        return found[0]

    def rows(self, status: RowStatus | None = None) -> Iterator[StoredRow]:
        """Rows in source order, streamed; of one status only, if it is given."""
        return self._paged_rows(_ROW if status is None else _ROW.where(_row.status == int(status)))

    def chunk(self, status: RowStatus | None, after: int, limit: int) -> list[StoredRow]:
        """At most `limit` rows behind position `after`, in source order."""
        asked = _ROW.where(_row.batch == self.key, _row.position > after)
        if status is not None:  # one status at a time: then the index on it gives them in order
            asked = asked.where(_row.status == int(status))
        return self._rows(asked.order_by(_row.position).limit(limit))

    def numbered(self, numbers: Iterable[int] | None) -> Iterator[StoredRow]:
        """Those rows that there are of the numbers; None: all rows."""
        if numbers is None:
            yield from self.rows()
        for some in chunked(numbers or ()):
            yield from self._rows(_ROW.where(_row.batch == self.key, _row.number.in_(some)))

    def positions(self, numbers: Iterable[int]) -> dict[int, int]:
        """Row number → position, in source order, of those numbers that there are."""
        found: list[tuple[int, int]] = []
        for some in chunked(numbers):
            asked = select(_row.position, _row.number).where(_row.batch == self.key, _row.number.in_(some))
            found += [(position, number) for position, number in self._all(asked)]
        return {number: position for position, number in sorted(found)}

    def search(
        self, *, statuses: Collection[RowStatus] = (), text: str = "", after: int = 0, limit: int = 100
    ) -> list[StoredRow]:
        """A page of rows behind position `after`: of these statuses (all, if none is given), with `text` in a
        cell, the Id, the code or the error (any case), or as the row number. For the screen."""
        asked = _ROW.where(_row.batch == self.key, _row.position > after)
        if statuses:
            asked = asked.where(_row.status.in_([int(status) for status in statuses]))
        if text := text.strip().lower():
            written = json.dumps(text, ensure_ascii=False)[1:-1]
            places = [
                func.lower(_row.cells).contains(written, autoescape=True),
                *(
                    func.lower(column).contains(text, autoescape=True)
                    for column in (_row.activity_id, _row.error_code, _row.error)
                ),
            ]
            if text.isdecimal() and len(text) < 10:
                places.append(_row.number == int(text))
            asked = asked.where(or_(*places))
        return self._rows(asked.order_by(_row.position).limit(limit))

    def problems(self) -> Iterator[StoredRow]:
        """Rows with an error code, in source order."""
        return self._paged_rows(_ROW.where(_row.error_code != ""))

    def event_counts(self, status: RowStatus | None = None) -> dict[int, int]:
        """Activity type's code → rows that have an activity of it (of one status only, if it is given)."""
        asked = select(_row.event, func.count()).where(_row.batch == self.key, _row.event.is_not(None))
        if status is not None:
            asked = asked.where(_row.status == int(status))
        return {int(event): count for event, count in self._all(asked.group_by(_row.event))}

    def last_change(self, status: RowStatus | None = None) -> str | None:
        """The latest `changed_at` (of rows of one status, if it is given); None without rows."""
        asked = select(func.max(_row.changed_at)).where(_row.batch == self.key)
        if status is not None:
            asked = asked.where(_row.status == int(status))
        latest: str | None = self._one(asked)
        return latest

    # ---- attempts -----------------------------------------------------------------------------------

    def attempts(self, position: int) -> list[StoredAttempt]:
        """Every Create call of a row, oldest first, with what each one sent, marker and all."""
        return [each for each in self._attempts(_attempt.position == position) if each.position == position]

    def last_attempt_id(self) -> int:
        """0 before the first one."""
        asked = select(func.coalesce(func.max(_attempt.id), 0)).where(_attempt.batch == self.key)
        return int(self._one(asked))

    def newest_mark_s(self) -> float | None:
        """How long ago the newest mark without an outcome was made, by the store's clock; None if there is
        none."""
        last = select(func.max(_attempt.id)).where(_attempt.batch == self.key).scalar_subquery()
        recent = and_(_attempt.batch == self.key, _attempt.id > last - CHUNK_ROWS)
        age_s = self.database.clock() - func.max(_attempt.stored_at)
        newest = self._one(select(age_s).where(recent, _attempt.outcome.is_(None), ~_attempt.assumed))
        return None if newest is None else max(0.0, newest)

    def rows_attempted_since(self, attempt_id: int) -> list[StoredRow]:
        """Rows of which a call was marked after that attempt, in source order."""
        marked = select(_attempt.position).where(_attempt.batch == self.key, _attempt.id > attempt_id)
        asked = _ROW.where(_row.batch == self.key, _row.position.in_(marked))
        return self._rows(asked.order_by(_row.position))

    def never_sent(self) -> bool:
        """No Create call was ever marked, here or on the computer that the batch was taken over from."""
        sent = (
            select(_attempt.id).where(_attempt.batch == self.key),
            select(_row.position).where(
                _row.batch == self.key, _row.status.in_([int(each) for each in IN_DOUBT])
            ),
            select(_row.position).where(_row.batch == self.key, or_(_row.attempts > 0, _row.doubted)),
        )
        return not any(self._all(asked.limit(1)) for asked in sent)

    def calls(self) -> Iterator[tuple[float, str]]:
        """Create calls by when they left (marked, where that is not known), assumed ones left out: Unix
        seconds, outcome ("" of one that was interrupted)."""
        left_at = func.coalesce(_attempt.left_at, _attempt.marked_at)
        asked = select(left_at, func.coalesce(_attempt.outcome, "")).where(
            _attempt.batch == self.key, ~_attempt.assumed
        )
        with self.database.snapshot() as connection:
            streamed = connection.execution_options(yield_per=SHORT_ROWS_TOGETHER)
            yield from ((at, outcome) for at, outcome in streamed.execute(asked.order_by(left_at)))

    def calls_per_s(self, over_s: float) -> float:
        """Create calls a second, over the last seconds before the newest one that has ended."""
        last = self.last_attempt_id()
        recent = and_(_attempt.batch == self.key, _attempt.id > last - RATE_ATTEMPTS_MAX, ~_attempt.assumed)
        newest = self._one(select(func.max(_attempt.left_at)).where(recent))
        if newest is None:
            return 0.0
        asked = select(func.count(), func.min(_attempt.left_at))
        ((count, oldest),) = self._all(asked.where(recent, _attempt.left_at > newest - over_s))
        return (count - 1) / (newest - oldest) if count > 1 and newest > oldest else 0.0

    def created_of(self, event: int) -> tuple[StoredRow, Activity, float] | None:
        """Any created row of an event of which it is known what the call that created it sent, that content
        and the time of its first mark by the tenant's clock (Unix seconds); None if there is none.

        Known: the call said so, or all calls sent the same and a look found it (not a person, who may have
        pasted the Id of an activity that looks otherwise).
        """
        other = schema.attempt.alias("other")
        another_content = (
            select(other.c.id)
            .where(
                other.c.batch == _attempt.batch,
                other.c.position == _attempt.position,
                other.c.body.is_distinct_from(_attempt.body),
            )
            .exists()
        )
        for known in (_attempt.outcome == "created", and_(~_row.released, ~another_content)):
            asked = (
                select(_row.position, _attempt.id)
                .join_from(schema.row, schema.attempt)
                .where(
                    _row.batch == self.key, _row.status == int(RowStatus.CREATED), _row.event == event, known
                )
            )
            if found := self._all(asked.limit(1)):
                position, attempt_id = found[0]
                attempts = self.attempts(position)
                sent = next(one.body for one in attempts if one.id == attempt_id)
                earliest = min(one.marked_at + one.clock_difference for one in attempts)
                with self.sound("an activity"):
                    return self.row(position), Activity.decoded(sent), earliest
        return None

    # ---- reading back and corrections ----------------------------------------------------------------

    def created_rows(self, positions: Collection[int] | None = None) -> Iterator[CreatedRow]:
        """Every created row (or those at `positions`) in source order, with attempts and reading."""
        created = _ROW.where(_row.batch == self.key, _row.status == int(RowStatus.CREATED))
        if positions is None:
            pages = self._pages(created, _row.position)
        else:
            some = (created.where(_row.position.in_(each)) for each in chunked(sorted(positions)))
            pages = (self._all(each.order_by(_row.position)) for each in some)
        for page in pages:
            yield from self._created(self._sound_rows(page))

    def _created(self, rows: Sequence[StoredRow]) -> Iterator[CreatedRow]:
        if not rows:
            return
        first, last = rows[0].position, rows[-1].position
        attempts: dict[int, list[StoredAttempt]] = {}
        for attempt in self._attempts(_attempt.position.between(first, last)):
            attempts.setdefault(attempt.position, []).append(attempt)
        reading = schema.reading.c
        asked = select(reading.position, reading.read_at, reading.differences).where(
            reading.batch == self.key, reading.position.between(first, last)
        )
        with self.sound("a reading"):
            read = {position: (at, json.loads(found)) for position, at, found in self._all(asked)}
        for row in rows:
            at, differences = read.get(row.position, (None, None))
            yield CreatedRow(row, tuple(attempts.get(row.position, ())), at, differences)

    def unread(self, positions: Collection[int] | None = None) -> Iterator[tuple[str, int]]:
        """(account in lower case, position) of created rows that were not read back yet, by account."""
        read = select(schema.reading.c.position).where(
            schema.reading.c.batch == _row.batch, schema.reading.c.position == _row.position
        )
        wanted = None if positions is None else set(positions)
        asked = select(_row.account, _row.position).where(
            _row.batch == self.key, _row.status == int(RowStatus.CREATED), ~read.exists()
        )
        for page in self._pages(asked, _row.account, _row.position, size=SHORT_ROWS_TOGETHER):
            yield from ((account, at) for account, at in page if wanted is None or at in wanted)

    def readings_count(self) -> int:
        """How many created rows were read back."""
        asked = select(func.count()).select_from(schema.reading).where(schema.reading.c.batch == self.key)
        return int(self._one(asked))

    def differing(self, limit: int) -> dict[int, list[list[str]]]:
        """Position → differences, of the first `limit` rows that were not returned as they were sent."""
        reading = schema.reading.c
        asked = select(reading.position, reading.differences).where(
            reading.batch == self.key, reading.differences != "[]"
        )
        with self.sound("a reading"):
            found = self._all(asked.order_by(reading.position).limit(limit))
            return {position: json.loads(differences) for position, differences in found}

    def corrections(
        self, *, in_round: int | None = None, status: CorrectionStatus | None = None
    ) -> Iterator[StoredCorrection]:
        """By round, position and field."""
        one = schema.correction.c
        asked = (
            select(
                one.round, one.position, _row.number, _row.activity_id, one.field, one.before, one.after,
                one.replaced, one.status, one.code, one.error, one.attempts, one.changed_at, one.undo,
            )
            .join_from(schema.correction, schema.row)
            .where(one.batch == self.key)
        )  # fmt: skip
        if in_round is not None:
            asked = asked.where(one.round == in_round)
        if status is not None:
            asked = asked.where(one.status == int(status))
        with self.sound("a correction"):
            for values in self._all(asked.order_by(one.round, one.position, one.field)):
                found = StoredCorrection(*values)
                yield replace(found, status=CorrectionStatus(found.status))

    def last_round(self) -> int:
        """The number of the last round of corrections; 0 before the first one."""
        rounds = select(func.coalesce(func.max(schema.correction.c.round), 0))
        return int(self._one(rounds.where(schema.correction.c.batch == self.key)))

    # ---- inside -------------------------------------------------------------------------------------

    def _attempts(self, which: Any) -> list[StoredAttempt]:  # noqa: ANN401 - a condition
        body = func.coalesce(_attempt.body, _row.activity)
        asked = (
            select(
                _attempt.id, _attempt.position, body, _attempt.marked_at, _attempt.clock_difference,
                _attempt.ended_at, _attempt.http_status, _attempt.outcome, _attempt.code, _attempt.detail,
                _attempt.assumed, self.database.clock() - _attempt.stored_at,
            )
            .join_from(schema.attempt, schema.row)
            .where(_attempt.batch == self.key, which)
            .order_by(_attempt.position, _attempt.id)
        )  # fmt: skip
        found = [StoredAttempt(*values) for values in self._all(asked)]
        with self.sound("an attempt"):
            for each in found:
                if type(each.body) is not bytes or type(each.marked_at) is not float:
                    raise ValueError("what was sent, or when, is not what it should be")
        return found

    def _rows(self, asked: Executable) -> list[StoredRow]:
        return self._sound_rows(self._all(asked))

    def _sound_rows(self, found: Sequence[Any]) -> list[StoredRow]:
        with self.sound("a row"):
            return [stored_row(values) for values in found]

    def _paged_rows(self, asked: Select[*tuple[Any, ...]]) -> Iterator[StoredRow]:
        for page in self._pages(asked.where(_row.batch == self.key), _row.position):
            yield from self._sound_rows(page)

    def _pages(
        self, asked: Select[*tuple[Any, ...]], *keys: ColumnElement[Any], size: int = CHUNK_ROWS
    ) -> Iterator[Sequence[Any]]:
        """What is asked for, in the order of `keys`, which are among the columns; no transaction is open
        between pages."""
        behind = asked
        while page := self._all(behind.order_by(*keys).limit(size)):
            yield page
            last = page[-1]._mapping  # noqa: SLF001 - SQLAlchemy's public name
            behind = asked.where(tuple_(*keys) > tuple_(*(last[key] for key in keys)))

    def _all(self, asked: Executable) -> Sequence[Any]:
        with self.database.reading(self._connection) as connection:
            return connection.execute(asked).all()

    def _one(self, asked: Executable) -> Any:  # noqa: ANN401 - whatever is asked for
        with self.database.reading(self._connection) as connection:
            return connection.execute(asked).scalar()

    @contextmanager
    def sound(self, what: str) -> Iterator[None]:
        """For this room. What is read is not what was written: the disk did it, or somebody."""
        try:
            yield
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise StoreError(
                f"The store holds {what} of this batch that is damaged: {error}.",
                where=f"{self.database.location}, batch {self.id}",
                remedy="Restore the store from a backup. Nothing more was sent.",
            ) from None


_KINDS: Final = (
    int, str, bytes | None, str | None, int, str, str, str | None, int, bool, bool, bytes | None, str, int,
)  # fmt: skip
"""Of `StoredRow`'s fields: SQLite takes any value in any column."""


def stored_row(values: Sequence[Any]) -> StoredRow:
    """A row of `_ROW`. Raises ValueError for what was never written."""
    row = StoredRow(*values)
    sound = all(map(isinstance, row, _KINDS))
    if not sound or not (row.activity_id is None or GUID.fullmatch(row.activity_id)):
        raise ValueError(f"row at position {row.position}")
    return row._replace(status=_status(row.status))


def _status(number: int) -> RowStatus:
    if number not in _STATUSES:
        raise damaged("a row's status")
    return _STATUSES[number]


def claim_key(activity_id: str) -> str:
    """An Id as it is claimed: GUIDs are returned in either case, with braces or without."""
    return activity_id.strip("{}").lower()


# ---- which batches there are ----------------------------------------------------------------------------


def summaries(database: Database, connection: Connection, which: ColumnElement[bool]) -> list[BatchSummary]:
    """The published batches that fit a condition, the latest first: one question for all of them."""
    asked = (
        select(_batch.key, _batch.id, _batch.owner_name, _batch.erased_at)
        .where(_batch.published, which)
        .order_by(_batch.created_at.desc(), _batch.key.desc())
    )
    found = connection.execute(asked).all()
    running = database.locked([batch_id for _, batch_id, *_ in found])
    facts: dict[int, dict[str, str]] = {key: {} for key, *_ in found}
    counts: dict[int, dict[RowStatus, int]] = {key: {} for key, *_ in found}
    for some in chunked(facts):
        for key, name, value in connection.execute(
            select(_fact.batch, _fact.name, _fact.value).where(_fact.batch.in_(some))
        ):
            facts[key][name] = value
        for key, status, count in connection.execute(
            select(_row.batch, _row.status, func.count())
            .where(_row.batch.in_(some))
            .group_by(_row.batch, _row.status)
        ):
            counts[key][_status(status)] = count
    listed = []
    for key, batch_id, owner_name, erased_at in found:
        with BatchRows(database, key, batch_id).sound("facts"):
            known = {name: json.loads(value) for name, value in facts[key].items()}
            batch = Batch.of(known)
            if batch.id != batch_id:
                raise ValueError("its id is another one")
        running_on = owner_name if batch_id in running else ""
        shown = shown_counts(counts[key], running=batch_id in running)
        others = {name: value for name, value in known.items() if name not in batch.facts()}
        listed.append(BatchSummary(key, batch, shown, running_on, erased_at, facts=others))
    return listed


def is_void(database: Database, connection: Connection, summary: BatchSummary) -> bool:
    """A batch that never sent a call and that nobody owns is no batch: a run may replace it."""
    # In this order: who owns it may mark a row at any moment.
    return not summary.running and BatchRows(database, summary.key, summary.batch.id, connection).never_sent()


def shown_counts(counts: dict[RowStatus, int], *, running: bool = False) -> dict[str, int]:
    """By the word that people read; every word is there, and `rows` is their sum. running: a call under way
    is no doubt yet."""
    shown: dict[str, int] = dict.fromkeys(map(str, Shown), 0)
    for status, count in counts.items():
        under_way = running and status is RowStatus.SENDING
        shown[RowStatus.PENDING.shown if under_way else status.shown] += count
    return {"rows": sum(shown.values()), **shown}
