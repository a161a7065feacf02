"""A batch that the store does not have, rebuilt from its results file and a mapping.  Rows that the file has
as created are never sent again. Every other row is in doubt, back to the start of the batch: it may have
been sent after the file was written. Nothing in the file is then a person's word but `skipped`, since an
edited cell looks the same as one that was always so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from importer.activity import GUID, Activity, Marker
from importer.app.changes import REBUILT
from importer.app.options import BatchOptions
from importer.app.plan import BatchPreparation
from importer.app.sheet_questions import refuse_sent_elsewhere
from importer.app.staging import Digests, asked_values, described, loaded_mapping
from importer.app.stores import NamedBatch
from importer.errors import ResultsError
from importer.mapping.choices import Resolved
from importer.mapping.mapping import Mapping
from importer.mapping.row_mapper import RowMapper
from importer.results.results_reader import FileLine, ResultsFile, read_results, row_number
from importer.results.results_writer import digest_of
from importer.sending.engine import tenant_name
from importer.sending.preflight import assume_sent
from importer.sending.reconcile.doubts import sent_body
from importer.sending.reconcile.normalise import id_key
from importer.sheets.rows import Row, encode_cells
from importer.store.ownership import Ownership, Staging
from importer.store.records import CHUNK_ROWS, Earlier, RowStatus, StoredRow, iso
from importer.text import count

Holders = dict[str, tuple[str, int]]
"""Id → (batch, position) of the row that created it."""


def started_at(batch_id: str) -> float:
    """When a batch was started, from its id: Unix seconds."""
    moment = dt.datetime.strptime(batch_id[-22:-7], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)
    return moment.timestamp()


async def rebuild(work: BatchPreparation[Any]) -> Ownership:
    """Publishes the batch that was named, owned; `work` is connected then. Sends nothing. Raises UserError,
    nothing left behind."""
    results, mapping = _sources(work.named, work.options)
    with read_results(results) as file:
        mapper = mapping.bind(file.header)
        asked = asked_values((Row(line.place, line.cells) for line in file.lines()), mapper)
    await work.connect(work.named.id, asked)
    user = await work.session.user()
    tenant = work.session.connection.tenant
    resolved = await work.look_up(asked)
    with read_results(results) as file, work.store.stage(work.named.id) as staging:
        tenant_id = tenant_name(work.session.settings.base_url, user, rehearsal=work.named.rehearsal)
        reading = _Reading(file, mapper, work.store.holders(tenant_id, _ids_in(file)))
        at = iso(dt.datetime.now(dt.UTC).timestamp())
        staging.add(reading.staged(resolved), at)
        since = started_at(work.named.id)
        batch = work.new_batch(
            work.named.id, iso(since), user, mapping, reading.digests,
            source=str(file.path.absolute()),
            family=file.family,
            header=file.header,
            delimiter=file.delimiter,
            rows=reading.rows,
            results=str(file.path.absolute()),
            results_digest=digest_of(file.path),  # all that it says was just taken over
            rebuilt=since,
        )  # fmt: skip
        already = _take_over(staging, reading, at)
        in_doubt = _put_in_doubt(staging, since + tenant.clock_difference_s, mapping, work.named.id)
        # Of rows in doubt LeadSquared cannot tell: what another batch of this store has is not theirs.
        owned = work.store.publish(staging, batch, lambda check: refuse_sent_elsewhere(check, staging.rows))
    owned.keep_facts(already=already)
    work.observer.notice(
        f"Batch {batch.id} is not in this store: it was rebuilt from {results.name}."
        f" {count(len(reading.claimed), 'row')} created, {count(in_doubt, 'row')} in doubt: each is looked"
        " up in LeadSquared before it is sent, and sent only where nothing that could be it is found."
    )
    return owned


def _sources(named: NamedBatch, options: BatchOptions) -> tuple[Path, Mapping]:
    """The results file and the mapping. Raises ResultsError where one is missing."""
    if named.results is None:
        raise ResultsError(
            "This store does not have the batch, and its results file was not named.",
            where=named.id,
            remedy="Name the results file: importer resume RESULTS -m MAPPING.",
        )
    if options.mapping is None:
        raise ResultsError(
            "This store does not have the batch (another computer sent it, or the store was deleted).",
            where=named.id,
            remedy="Resume it where it was sent, or here with its mapping:",
            command=("resume", str(named.results), "-m", "MAPPING"),
        )
    return named.results, loaded_mapping(options.mapping)


def _ids_in(file: ResultsFile) -> set[str]:
    """Ids that the file has as created."""
    found = ((line.ours.activity_id or "").strip() for line in file.lines())
    return {made for made in found if GUID.fullmatch(made)}


def _take_over(staging: Staging, reading: _Reading, at: str) -> int:
    """Rows that another batch of the store created (`--only-new`) point to its rows; how many."""
    positions = staging.rows.positions(reading.taken_over)
    with staging.change() as change:
        return change.take_over(
            (
                Earlier(positions[number], made, *reading.held[made])
                for number, made in reading.taken_over.items()
            ),
            at,
        )


class _Reading:
    """The lines of a results file as rows to be staged; digests and Ids gathered on the way. held: Ids that
    other batches of the store have, and their rows."""

    def __init__(self, file: ResultsFile, mapper: RowMapper, held: Holders) -> None:
        self.file, self.mapper = file, mapper
        self.digests = Digests()
        self.claimed: dict[str, str] = {}
        self.held = held
        self.taken_over: dict[int, str] = {}
        self.rows = 0
        self._seen: dict[int, int] = {}

    def staged(self, resolved: Resolved) -> Iterator[StoredRow]:
        """Raises ResultsError for lines without a row number, or with one that another line has."""
        for line in self.file.lines():
            number = self._number(line)
            mapped = self.mapper.map(Row(number, line.cells), resolved)
            body = mapped.encoded() if isinstance(mapped, Activity) else None
            self.digests.add(line.cells, body)
            problems = "" if isinstance(mapped, Activity) else described(mapped)
            self.rows += 1
            yield self._row(line, number, body, problems)

    def _number(self, line: FileLine) -> int:
        number = row_number(line.ours.row)
        if number is None:
            raise ResultsError("This line has no row number in import_row.", where=f"line {line.place}")
        if number in self._seen:
            raise ResultsError(
                f"Row {number} is in two lines ({self._seen[number]} and {line.place}).",
                remedy="Delete one of them.",
            )
        self._seen[number] = line.place
        return number

    def _row(self, line: FileLine, number: int, body: bytes | None, problems: str) -> StoredRow:
        cells = encode_cells(line.cells)
        word = (line.ours.status or "").casefold()
        made = (line.ours.activity_id or "").strip()
        if word == "created" and GUID.fullmatch(made) and id_key(made) not in self.claimed:
            self.claimed[id_key(made)] = made
            if made in self.held:
                self._demand_taken_over(line, number, made)
                self.taken_over[number] = made
                return StoredRow(number, cells, body, None, RowStatus.SKIPPED)
            return StoredRow(number, cells, body, None, RowStatus.CREATED, activity_id=made, attempts=1)
        if word == "skipped":
            return StoredRow(number, cells, body, None, RowStatus.SKIPPED)
        if body is None:
            return StoredRow(number, cells, None, None, RowStatus.INVALID, "invalid", problems)
        return StoredRow(number, cells, body, None, RowStatus.PENDING)

    def _demand_taken_over(self, line: FileLine, number: int, made: str) -> None:
        """A row that another batch created was never sent by this one (`--only-new`). Raises ResultsError."""
        if (line.ours.attempts or "").strip() in {"", "0"}:
            return
        other, _ = self.held[made]
        raise ResultsError(
            f"Row {number} of this file has the Id {made}, which batch {other} created: a row belongs to one"
            " batch. Nothing was sent.",
            where=str(self.file.path),
            remedy="Put import_batch back as it was written, or continue that batch:",
            command=("resume", other),
        )


def _put_in_doubt(staging: Staging, since: float, mapping: Mapping, batch_id: str) -> int:
    """Every row that may be sent; how many."""
    marker = Marker(mapping.marker, batch_id) if mapping.marker else None
    done = 0
    while pending := staging.rows.chunk(RowStatus.PENDING, 0, CHUNK_ROWS):
        with staging.change() as change:
            sent = {row.position: sent_body(row, marker) for row in pending}
            assume_sent(change, sent, since, REBUILT)
        done += len(pending)
    return done
