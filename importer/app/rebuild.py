"""A batch that the store does not have, rebuilt from its results file and a mapping.  Rows that the file has
as created are never sent again. Every other row is in doubt, back to the start of the batch: it may have
been sent after the file was written. Nothing in the file is then a person's word but `skipped`, since an
edited cell looks the same as one that was always so."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.activity import GUID, Activity, Marker, as_sent
from importer.app.changes import REBUILT
from importer.app.connecting import Session, looked_up
from importer.app.observer import Observer
from importer.app.staging import AskedValues, ContentDigest, asked_values, described
from importer.errors import ResultsError
from importer.leadsquared.answers import CurrentUser
from importer.mapping.mapping import Mapping
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.remedies import remedy_for
from importer.results.results_reader import FileLine, ResultsFile, read_results, row_number
from importer.results.results_writer import digest_of
from importer.sending.engine import tenant_name
from importer.sending.reconcile.normalise import id_key
from importer.sheets.rows import CellsDigest, Row, encode_cells
from importer.store.ownership import Ownership, Staging
from importer.store.records import CHUNK_ROWS, Batch, RowChange, RowStatus, StagedRow, iso
from importer.store.store import Store, computer, os_user
from importer.wording import count

Holders = dict[str, tuple[str, int]]
"""Id → (batch, position) of the row that created it."""
_STARTED: Final = re.compile(r"[a-z]+-?(\d{8}-\d{6})-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class RebuildRequest:
    """What is rebuilt: a batch id, its results file, its mapping."""

    batch_id: str
    results: Path
    mapping: Mapping


def started_at(batch_id: str) -> float:
    """When a batch was started, from its id: Unix seconds. Raises ResultsError for an id of another shape."""
    found = _STARTED.fullmatch(batch_id)
    if found is None:
        raise ResultsError(
            f"{batch_id[:60]!r} is not a batch id.",
            where="column import_batch",
            remedy="Put the id back as it was written; the run showed it, and so does its log.",
        )
    moment = dt.datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)
    return moment.timestamp()


def asked_by(request: RebuildRequest) -> AskedValues:
    """The distinct values that the rows ask to be looked up."""
    with read_results(request.results) as file:
        mapper = request.mapping.bind(file.header)
        return asked_values((Row(line.place, line.cells) for line in file.lines()), mapper)


async def rebuild(
    request: RebuildRequest, store: Store, session: Session, user: CurrentUser, observer: Observer,
    *, asked: AskedValues, rehearsal: bool, max_outage_s: float,
) -> Ownership:  # fmt: skip
    """Publishes the batch, owned. Sends nothing. Raises UserError, nothing left behind."""
    tenant = session.connection.tenant
    resolved = await looked_up(tenant, asked, observer, max_outage_s=max_outage_s)
    with read_results(request.results) as file, store.stage(request.batch_id) as staging:
        mapper = request.mapping.bind(file.header)
        tenant_id = tenant_name(session.settings.base_url, user, rehearsal=rehearsal)
        reading = _Reading(file, mapper, store.holders(tenant_id, _ids_in(file)))
        at = iso(dt.datetime.now(dt.UTC).timestamp())
        staging.add(reading.staged(resolved), at)
        since = started_at(request.batch_id) + tenant.clock_difference_s
        in_doubt = _put_in_doubt(staging, since, request)
        batch = _batch(request, file, reading, session, user, rehearsal=rehearsal)
        already = _take_over(staging, reading, at)
        owned = store.publish(staging, batch, lambda _check: None)
    owned.keep_facts(already=already)
    observer.notice(
        f"Batch {request.batch_id} is not in this store: it was rebuilt from {request.results.name}."
        f" {count(len(reading.claimed), 'row')} created, {count(in_doubt, 'row')} in doubt: each is looked"
        " up in"
        " LeadSquared before it is sent, and sent only where nothing that could be it is found."
    )
    return owned


def _ids_in(file: ResultsFile) -> set[str]:
    """Ids that the file has as created."""
    found = ((line.ours.activity_id or "").strip() for line in file.lines())
    return {made for made in found if GUID.fullmatch(made)}


def _take_over(staging: Staging, reading: _Reading, at: str) -> int:
    """Rows that another batch of the store created (`--only-new`) point to its rows; how many."""
    positions = staging.rows.positions(reading.taken_over)
    with staging.change() as change:
        change.change_rows(
            RowChange(
                positions[number],
                status=RowStatus.CREATED,
                activity_id=made,
                taken_from=reading.held[made],
                changed_at=at,
            )
            for number, made in reading.taken_over.items()
        )
    return len(positions)


class _Reading:
    """The lines of a results file as rows to be staged; digests and Ids gathered on the way. held: Ids that
    other batches of the store have, and their rows."""

    def __init__(self, file: ResultsFile, mapper: RowMapper, held: Holders) -> None:
        self.file, self.mapper = file, mapper
        self.content, self.cells = ContentDigest(), CellsDigest()
        self.claimed: dict[str, str] = {}
        self.held = held
        self.taken_over: dict[int, str] = {}
        self.rows = 0
        self._seen: dict[int, int] = {}

    def staged(self, resolved: Resolved) -> Iterator[StagedRow]:
        """Raises ResultsError for lines without a row number, or with one that another line has."""
        for line in self.file.lines():
            number = self._number(line)
            mapped = self.mapper.map(Row(number, line.cells), resolved)
            self.cells.add(line.cells)
            body = mapped.encoded() if isinstance(mapped, Activity) else None
            if body is not None:
                self.content.add(body)
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

    def _row(self, line: FileLine, number: int, body: bytes | None, problems: str) -> StagedRow:
        cells = encode_cells(line.cells)
        word = (line.ours.status or "").casefold()
        made = (line.ours.activity_id or "").strip()
        if word == "created" and GUID.fullmatch(made) and id_key(made) not in self.claimed:
            self.claimed[id_key(made)] = made
            if made in self.held:
                self._demand_taken_over(line, number, made)
                self.taken_over[number] = made
                return StagedRow(number, cells, body, None, RowStatus.SKIPPED)
            return StagedRow(number, cells, body, None, RowStatus.CREATED, activity_id=made, attempts=1)
        if word == "skipped":
            return StagedRow(number, cells, body, None, RowStatus.SKIPPED)
        if body is None:
            return StagedRow(number, cells, None, None, RowStatus.INVALID, "invalid", problems)
        return StagedRow(number, cells, body, None, RowStatus.PENDING)

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


def _put_in_doubt(staging: Staging, since: float, request: RebuildRequest) -> int:
    """Every row that may be sent; how many."""
    entry = remedy_for(REBUILT)
    marker = Marker(request.mapping.marker, request.batch_id) if request.mapping.marker else None
    done = 0
    while pending := staging.rows.chunk(RowStatus.PENDING, 0, CHUNK_ROWS):
        sent = {row.position: as_sent(row.activity or b"", row.number, marker) for row in pending}
        with staging.change() as change:
            change.assume_sent(
                sent, since, detail=entry.meaning, code=entry.code, error=f"{entry.meaning} {entry.action}"
            )
        done += len(sent)
    return done


def _batch(
    request: RebuildRequest, file: ResultsFile, reading: _Reading, session: Session, user: CurrentUser,
    *, rehearsal: bool,
) -> Batch:  # fmt: skip
    settings = session.settings
    since = started_at(request.batch_id)
    return Batch(
        id=request.batch_id,
        created_at=iso(since),
        tenant=tenant_name(settings.base_url, user, rehearsal=rehearsal),
        host=settings.base_url,
        organisation=user.organisation,
        user=user.name,
        rehearsal=rehearsal,
        source=str(file.path.absolute()),
        family=file.family,
        sheet=None,
        header=file.header,
        header_row=1,
        delimiter=file.delimiter,
        encoding=None,
        hidden=None,
        mapping=request.mapping.record(),
        content=reading.content.hexdigest(),
        source_cells=reading.cells.hexdigest(),
        rows=reading.rows,
        skip_invalid=True,
        results=str(file.path.absolute()),
        results_digest=digest_of(file.path),  # all that it says was just taken over
        marker=request.mapping.marker,
        os_user=os_user(),
        computer=computer(),
        rebuilt=since,
    )
