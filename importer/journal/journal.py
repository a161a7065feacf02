"""A batch's SQLite file, the only owner of row state.

What is promised here, the schema holds: a row that is `created` has an Id and never goes back, an Id stands
at one row only, a row is marked `sending` only from `pending`. A statement that would break one of these
fails, and with it the run, before anything else leaves.

A journal appears under its name only when it is whole (`journal_draft.py`). Times of attempts are Unix
seconds by our clock; times of rows are UTC, ISO 8601, with milliseconds.
"""

from __future__ import annotations

import enum
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from importer.activity import Activity
from importer.errors import JournalError, ResultsError
from importer.journal.file import VERSION, connect, expect_journal, migrate, newer, told_plainly
from importer.journal.row_counts import RowCounts

CHUNK_ROWS: Final = 2_000


class RowStatus(enum.IntEnum):
    """What is known of a row. `shown` is the word that people read in the results file."""

    PENDING = 0
    SENDING = 1  # marked: a call may be under way
    DOUBTFUL = 2  # a call ended without telling whether it created; looks are due
    UNCERTAIN = 3  # looking could not tell
    CREATED = 4
    FAILED = 5
    INVALID = 6
    SKIPPED = 7

    @property
    def shown(self) -> str:
        return _SHOWN[self]


IN_DOUBT: Final = (RowStatus.SENDING, RowStatus.DOUBTFUL, RowStatus.UNCERTAIN)
_STATUSES: Final = tuple(RowStatus)  # a million rows ask for these: calling an enumeration takes longer
_SHOWN: Final = tuple("uncertain" if one in IN_DOUBT else one.name.lower() for one in _STATUSES)
SHOWN_STATUSES: Final = ("created", "failed", "invalid", "uncertain", "pending", "skipped")


class JournalRow(NamedTuple):
    """One row as it stands. `cells` as `source.rows.encode_cells` wrote them, `activity` a request body."""

    position: int
    number: int
    cells: str
    activity: bytes | None
    problem: str | None
    status: RowStatus
    doubted: bool
    released: bool
    activity_id: str | None
    error_code: str
    error: str
    attempts: int
    changed_at: str


class StagedRow(NamedTuple):
    """A row on its way into a new journal. An invalid one has no activity, and its problems as the error."""

    number: int
    cells: str
    activity: bytes | None
    problem: str | None
    status: RowStatus
    error_code: str = ""
    error: str = ""
    activity_id: str | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One import of one sheet, as the journal's facts tell it. Paths are absolute, digests hexadecimal.

    tenant: API host and organisation's short code, or `sandbox`. content: digest of the ordered mapped
    activities. source_cells: digest of the ordered source cells. mapping: `Mapping.record()`.
    """

    id: str
    created_at: str
    tenant: str
    host: str
    organisation: str
    user: str
    rehearsal: bool
    source: str
    family: Literal["text", "workbook"]
    sheet: str | None
    header: tuple[str, ...]
    header_row: int
    delimiter: str | None
    encoding: str | None
    hidden: Literal["include", "skip"] | None
    mapping: dict[str, Any]
    content: str
    source_cells: str
    rows: int
    skip_invalid: bool
    results: str
    results_digest: str | None = None
    marker: str | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From `Journal.facts()`. Raises KeyError when one that has no default is missing."""
        known = {field.name: facts[field.name] for field in fields(cls) if field.name in facts}
        try:
            return cls(**{**known, "header": tuple(known["header"])})
        except TypeError as error:
            raise KeyError(str(error)) from error

    def facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One Create call. `outcome` None: the process was cut off while it was under way."""

    id: int
    position: int
    body: bytes
    marked_at: float
    clock_difference: float
    ended_at: float | None
    http_status: int | None
    outcome: str | None
    code: str | None
    detail: str | None


_ROW: Final = (
    "SELECT position, number, cells, activity, problem, status, doubted, released, activity_id,"
    " error_code, error, attempts, changed_at FROM row"
)
_ATTEMPT: Final = (
    "SELECT attempt.id, attempt.position, coalesce(attempt.body, row.activity), marked_at, clock_difference,"
    " ended_at, http_status, outcome, code, detail FROM attempt JOIN row USING (position)"
)


_CREATED_OF: Final = (
    "SELECT row.position, attempt.id FROM row JOIN attempt USING (position) WHERE row.status = 4"
    " AND json_extract(CAST(row.activity AS TEXT), '$.ActivityEvent') = ?"
)
_OTHER_CONTENT: Final = (
    "SELECT 1 FROM attempt AS other WHERE other.position = row.position AND other.body IS NOT attempt.body"
)
_KNOWN_TO_HAVE_CREATED: Final = (
    " AND attempt.outcome = 'created'",
    f" AND NOT row.released AND NOT EXISTS ({_OTHER_CONTENT})",
)


def _row(values: tuple[Any, ...]) -> JournalRow:
    position, number, cells, activity, problem, status, doubted, released, *rest = values
    known = (position, number, cells, activity, problem, _STATUSES[status], bool(doubted), bool(released))
    return JournalRow(*known, *rest)


class Journal:
    """An opened journal: reading, and the few changes that are made while no run is under way."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._counts = RowCounts(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises ResultsError when there is none, or it is damaged, of a newer version, or no journal."""
        if not path.is_file():
            raise ResultsError("There is no journal of this batch on this computer.", where=str(path))
        connection: sqlite3.Connection | None = None
        try:
            expect_journal(path)
            connection = connect(path)
            migrate(connection, path)
            journal = cls(path, connection)
            journal.batch()
        except (sqlite3.Error, ValueError, KeyError, OSError) as error:
            if connection is not None:
                connection.close()
            raise ResultsError(
                f"The journal of this batch cannot be read: {error}.",
                where=str(path),
                remedy="Restore it from a backup, or move it away and resume from the results file with"
                " `importer resume RESULTS -m MAPPING`. Nothing was sent.",
            ) from error
        except ResultsError:
            if connection is not None:
                connection.close()
            raise
        return journal

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """For a look beside whoever owns the batch; nothing is changed. Raises ResultsError as `open`."""
        if not path.is_file():
            raise ResultsError("There is no journal of this batch on this computer.", where=str(path))
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            expect_journal(path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            journal = cls(path, connection)
            if version <= VERSION:
                journal.batch()
        except (sqlite3.Error, ValueError, KeyError, OSError) as error:
            connection.close()
            raise ResultsError(
                f"The journal of this batch cannot be read: {error}.", where=str(path)
            ) from error
        if version > VERSION:
            connection.close()
            raise newer(path, version)
        return journal

    def calls_per_s(self, over_s: float) -> float:
        """Create calls a second, over the last seconds before the newest one."""
        newest, count, oldest = self.connection.execute(
            "SELECT max(marked_at), count(*), min(marked_at) FROM"
            " (SELECT marked_at FROM attempt ORDER BY id DESC LIMIT 100000)"
            " WHERE marked_at > (SELECT marked_at FROM attempt ORDER BY id DESC LIMIT 1) - ?",
            (over_s,),
        ).fetchone()
        return (count - 1) / (newest - oldest) if count > 1 and newest > oldest else 0.0

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the batch's facts -------------------------------------------------------------------------

    def batch(self) -> Batch:
        """Raises KeyError when this is no whole batch."""
        return Batch.of(self.facts())

    def facts(self) -> dict[str, Any]:
        """Everything that is known of the batch as a whole: name → JSON value."""
        return {
            name: json.loads(value)
            for name, value in self.connection.execute("SELECT name, value FROM batch")
        }

    def fact(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  (JSON, as it was kept)
        found = self.connection.execute("SELECT value FROM batch WHERE name = ?", (name,)).fetchone()
        return default if found is None else json.loads(found[0])

    def state(self, **facts: object) -> None:
        """Keeps facts, each replacing the one of the same name."""
        with told_plainly(self.path):
            self.connection.executemany(
                "INSERT OR REPLACE INTO batch VALUES (?, ?)",
                [(name, json.dumps(value, ensure_ascii=False)) for name, value in facts.items()],
            )

    def answers(self) -> dict[str, str]:
        """What was looked up: question → Id (see `lookups.to_plain`)."""
        return dict(self.connection.execute("SELECT question, answer FROM lookup"))

    def keep_answers(self, answers: Mapping[str, str]) -> None:
        with told_plainly(self.path):
            keep = "INSERT OR REPLACE INTO lookup VALUES (?, ?)"
            self.connection.executemany(keep, list(answers.items()))

    # ---- rows -------------------------------------------------------------------------------------

    def counts(self) -> dict[RowStatus, int]:
        """Rows by status, from the index alone."""
        return {RowStatus(status): count for status, count in self._counts.now().items()}

    def shown_counts(self) -> dict[str, int]:
        """Rows by the word that people read; every word is there, and `rows` is their sum.

        Raises JournalError when they do not add up to the rows that the batch was staged with.
        """
        shown = dict.fromkeys(SHOWN_STATUSES, 0)
        for status, count in self.counts().items():
            shown[status.shown] += count
        staged = self.fact("rows", sum(shown.values()))
        if staged != sum(shown.values()):
            raise JournalError(
                f"The journal's counts ({sum(shown.values())}) do not add up to the sheet's {staged} rows:"
                " this is a fault of the importer.",
                where=str(self.path),
                remedy="Keep the file and report it; nothing more was sent.",
            )
        return {"rows": staged, **shown}

    def rows(self, status: RowStatus | None = None, after: int = 0) -> Iterator[JournalRow]:
        """Rows behind position `after` in source order, streamed; of one status only, if it is given."""
        while chunk := self.chunk(status, after, CHUNK_ROWS):
            yield from chunk
            after = chunk[-1].position

    def chunk(self, status: RowStatus | None, after: int, limit: int) -> list[JournalRow]:
        """At most `limit` rows behind position `after`, in source order."""
        # One status at a time: then the index on it gives them in order (IN (…) would sort).
        only = "" if status is None else f" AND status = {int(status)}"
        with told_plainly(self.path):
            asked = f"{_ROW} WHERE position > ?{only} ORDER BY position LIMIT ?"
            return [_row(values) for values in self.connection.execute(asked, (after, limit))]

    def row(self, position: int) -> JournalRow:
        with told_plainly(self.path):
            return _row(self.connection.execute(f"{_ROW} WHERE position = ?", (position,)).fetchone())

    def positions(self, numbers: Iterable[int]) -> dict[int, int]:
        """Row number → position, in source order, of those numbers that there are."""
        asked = json.dumps(list(numbers))
        found = self.connection.execute(
            "SELECT number, position FROM row WHERE number IN (SELECT value FROM json_each(?))"
            " ORDER BY position",
            (asked,),
        )
        return dict(found)

    def attempts(self, position: int) -> list[Attempt]:
        """Every Create call of a row, oldest first, with what each one sent, marker and all."""
        asked = f"{_ATTEMPT} WHERE position = ? ORDER BY attempt.id"
        with told_plainly(self.path):
            return [Attempt(*values) for values in self.connection.execute(asked, (position,))]

    def created_of(self, event: int) -> tuple[JournalRow, Activity, float] | None:
        """Any created row of an event of which it is known what the call that created it sent, that content
        and the time of its first mark by the tenant's clock (Unix seconds); None if there is none.

        Known: the call said so, or all calls sent the same and a look found it (not a person, who may have
        pasted the Id of an activity that looks otherwise).
        """
        with told_plainly(self.path):
            for known in _KNOWN_TO_HAVE_CREATED:
                found = self.connection.execute(_CREATED_OF + known + " LIMIT 1", (event,)).fetchone()
                if found is not None:
                    position, attempt_id = found
                    attempts = self.attempts(position)
                    sent = next(one.body for one in attempts if one.id == attempt_id)
                    earliest = min(one.marked_at + one.clock_difference for one in attempts)
                    return self.row(position), Activity.decoded(sent), earliest
        return None

    def last_attempt_id(self) -> int:
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()
        return int(last)

    def claimed(self, activity_ids: Iterable[str]) -> set[str]:
        """Those of the Ids that a row of this batch holds."""
        asked = json.dumps(list(activity_ids))
        claimed = "SELECT activity_id FROM row WHERE activity_id IN (SELECT value FROM json_each(?))"
        with told_plainly(self.path):
            return {activity_id for (activity_id,) in self.connection.execute(claimed, (asked,))}

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction for changes between runs: all of it, or nothing."""
        with told_plainly(self.path):
            nested = self.connection.in_transaction
            if not nested:
                self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self._counts.forget()
                if not nested:
                    self.connection.execute("ROLLBACK")
                raise
            if not nested:
                self.connection.execute("COMMIT")


def peek(path: Path) -> dict[str, Any]:
    """A journal's facts, read only and without waiting; {} when the file is no journal of ours."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as connection:
            return Journal(path, connection).facts()
    except (sqlite3.Error, ValueError, OSError):
        return {}
