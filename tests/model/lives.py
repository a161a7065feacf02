"""Lives of a batch: the real engine and store in a made-up world, killed and edited."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

from virtual_time import VirtualTimeLoop

from importer.activity import Activity
from importer.app.changes import BatchChanges
from importer.leadsquared.calls import Tenant
from importer.mapping.mapping import Mapping, load_mapping
from importer.mapping.row_mapper import RowMapper
from importer.pacing.pacing import Pace, Rate
from importer.results.edits import CellChange, RowEdit
from importer.sending.engine import mark_interrupted, send
from importer.sending.outage import Stop, StopReason
from importer.sending.run_state import RunState, SendOptions, TenantConnection
from importer.sheets.rows import Row, decode_cells, encode_cells
from importer.store.records import Batch as StoredBatch
from importer.store.records import RowStatus, StoredRow, iso
from importer.store.store import Store, open_store
from model.world import EPOCH, SETTLE_S, TIMEOUT_S, ModelTenant, World

MAPPING = """\
RelatedCompanyId: Account
ActivityEvent: 10001
ActivityNote: Note
Fields:
  mx_Custom_1: Outcome
  mx_Custom_2: Remarks
"""
HEADER = ("Account", "Note", "Outcome", "Remarks")
OPTIONS = SendOptions(workers=4, settle_s=SETTLE_S, timeout_s=TIMEOUT_S, max_attempts=4, max_outage_s=600.0)
BATCH = "b20260725-173000-abcdef"
DATABASE = "importer.db"
Cells = tuple[str, ...]


@cache
def empty_store() -> Path:
    """A home with an embedded store and nothing in it, to be copied: making one anew takes longer."""
    home = Path(mkdtemp())
    open_store(home).close()
    return home


def empty_home(home: Path) -> None:
    """Puts an empty embedded store into a folder."""
    with (
        closing(sqlite3.connect(empty_store() / DATABASE)) as empty,
        closing(sqlite3.connect(home / DATABASE)) as copy,
    ):
        empty.backup(copy)
    (home / DATABASE).chmod(0o600)


@dataclass
class Batch:
    """A batch in its store, and the world that it is sent to. opened: opens the store as it is now."""

    folder: Path
    world: World
    plan: Mapping
    home: Path
    copies: int = 0
    options: SendOptions = OPTIONS

    @classmethod
    def staged(cls, folder: Path, world: World, rows: list[Cells], options: SendOptions = OPTIONS) -> Batch:
        mapping = folder / "mapping.yaml"
        mapping.write_text(MAPPING, encoding="utf-8")
        plan = load_mapping(mapping)
        home = folder / "home"
        home.mkdir(mode=0o700)
        empty_home(home)
        batch = cls(folder, world, plan, home, options=options)
        mapper = plan.bind(HEADER)
        staged: list[StoredRow] = []
        for number, cells in enumerate(rows, start=2):
            activity = _mapped(mapper, number, cells)
            world.wanted[activity] += 1
            staged.append(StoredRow(number, encode_cells(cells), activity.encoded(), None, RowStatus.PENDING))
        with batch.opened() as store:
            staging = store.stage(BATCH)
            staging.add(staged, iso(EPOCH))
            store.publish(staging, _facts(len(rows), plan)).close()
        return batch

    def opened(self) -> Store:
        return open_store(self.home)

    def live(self, killed_after_s: float | None, skew_s: float) -> Stop | None:
        """One life, to its end or to the instant of its death."""
        loop = VirtualTimeLoop(start_s=self.world.now + 1.0)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(self._live(loop, killed_after_s, skew_s))

    async def _live(self, loop: VirtualTimeLoop, killed_after_s: float | None, skew_s: float) -> Stop | None:
        def wall() -> float:
            return EPOCH + loop.time() + skew_s

        with self.opened() as store, store.own(BATCH) as owned:
            tenant = ModelTenant(self.world, loop.time, wall)
            connection = TenantConnection(cast("Tenant", tenant), Pace(Rate(1000, 1.0), clock=loop.time))

            def begins(run: RunState) -> None:
                if killed_after_s is not None:
                    loop.call_later(killed_after_s, self._kill, tenant, run)

            result = await send(store, owned, connection, self.options, observer=begins, wall=wall)
            self.world.now = max(self.world.now, loop.time())
            self.world.flying.clear()
            return result.stop

    def _kill(self, tenant: ModelTenant, run: RunState) -> None:
        """The store as it is on the disk now goes on; what this life still does has no effect."""
        self.copies += 1
        home = self.folder / f"home-{self.copies}"
        home.mkdir(mode=0o700)
        with (
            closing(sqlite3.connect(self.home / DATABASE)) as alive,
            closing(sqlite3.connect(home / DATABASE)) as dead,
        ):
            alive.backup(dead)
        (home / DATABASE).chmod(0o600)
        self.home = home
        tenant.dead = True
        run.stop(StopReason.INTERRUPTED, "Killed.")

    # ---- a person -------------------------------------------------------------------------------------

    def _change(self, make: Callable[[BatchChanges], None]) -> None:
        """What `resume` does with what a person changed in the results file."""
        with self.opened() as store, store.own(BATCH) as owned:
            mark_interrupted(owned)
            rows = owned.rows
            changes = BatchChanges(rows, rows.batch(), self.plan.bind(HEADER), {}, at=iso(EPOCH))
            make(changes)
            with owned.change() as change:
                changes.apply(change)

    def edit(self, number: int, outcome: str) -> None:
        """A person corrects a row's outcome in the results file."""
        position = number - 1

        def correct(changes: BatchChanges) -> None:
            row = changes.row(position)
            if row.status in {RowStatus.CREATED, RowStatus.SKIPPED} or row.activity is None:
                return
            cells = list(decode_cells(row.cells))
            change = CellChange("Outcome", 2, cells[2], outcome)
            cells[2] = outcome
            changes.correct([RowEdit(number, tuple(cells), (change,))])
            self.world.wanted[Activity.decoded(changes.row(position).activity or b"")] += 1

        self._change(correct)

    def look_for_oneself(self) -> None:
        """A person looks at every uncertain row, sees it is not there, and says pending. Only what the tenant
        keeps can be seen."""
        kept = self.world.stored
        with self.opened() as store:
            rows = store.open(BATCH)
            gone: list[int] = []
            for row in list(rows.rows(RowStatus.UNCERTAIN)):
                sent = {kept(Activity.decoded(one.body)) for one in rows.attempts(row.position)}
                there = [one.id for one in self.world.held if kept(one.sent) in sent and one.by == "us"]
                if not set(there) - set(store.holders(rows.batch().tenant, there)):
                    gone.append(row.position)

        def not_there(changes: BatchChanges) -> None:
            for position in gone:
                changes.not_there(position)

        self._change(not_there)

    def retry(self) -> None:
        self._change(lambda changes: changes.retry(refused_too=False))

    # ---- the truth ------------------------------------------------------------------------------------

    def wrongs(self) -> list[str]:
        """Everything that must never be, from the store and the world together."""
        world = self.world
        wrong = list(world.broken)
        made = {one.id: one for one in world.held}
        with self.opened() as store:
            stored = store.open(BATCH)
            rows = list(stored.rows())
            stored.shown_counts()
            sent = {row.position: [one.body for one in stored.attempts(row.position)] for row in rows}
        claimed = Counter(row.activity_id for row in rows if row.activity_id)
        wrong += [f"{one} is the Id of {count} rows" for one, count in claimed.items() if count > 1]
        for row in rows:
            if row.status is not RowStatus.CREATED:
                continue
            held = made.get(row.activity_id or "")
            bodies = {world.stored(Activity.decoded(body)) for body in sent[row.position]}
            if held is None or world.stored(held.sent) not in bodies:
                wrong.append(f"row {row.number} has the Id of {held}, and sent {bodies}")
            elif held.by != "us" and not world.foreign_equal:
                wrong.append(f"row {row.number} has the Id of another's: {held}")
        ours = Counter(world.stored(one.sent) for one in world.held if one.by == "us")
        mine: Counter[Activity] = Counter()
        for row in rows:
            mine.update({world.stored(Activity.decoded(body)) for body in sent[row.position]})
        wrong += [
            f"{content} was created {count} times" for content, count in ours.items() if count > mine[content]
        ]
        if sum(ours.values()) > len(rows):
            wrong.append(f"{sum(ours.values())} activities of {len(rows)} rows")
        return wrong

    def statuses(self) -> list[str]:
        with self.opened() as store:
            return [row.status.name.lower() for row in store.open(BATCH).rows()]


def _mapped(mapper: RowMapper, number: int, cells: Cells) -> Activity:
    activity = mapper.map(Row(number, cells))
    assert isinstance(activity, Activity)
    return activity


def _facts(rows: int, plan: Mapping) -> StoredBatch:
    return StoredBatch(
        id=BATCH, created_at=iso(EPOCH), tenant="t/o", host="https://t", organisation="O", user="U",
        rehearsal=False, source="/nowhere/visits.csv", family="text", sheet=None, header=HEADER, header_row=1,
        delimiter=",", encoding="utf-8", hidden=None, mapping=plan.record(), content="00", source_cells="00",
        rows=rows, results="/nowhere/visits.results.csv",
    )  # fmt: skip
