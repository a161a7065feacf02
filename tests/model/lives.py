"""Lives of a batch: the real poster, looks, verifier and journal in a made-up world, killed and edited."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from importer.sending.reconcile.lookups import Looks
from importer.sending.reconcile.verifier import Verifier
from virtual_time import VirtualTimeLoop

from importer.activity import Activity
from importer.journal.draft import JournalDraft
from importer.journal.journal import Journal, RowStatus, StagedRow
from importer.journal.writer import JournalWriter, iso
from importer.leadsquared.calls import Tenant
from importer.mapping.mapping import Mapping, load_mapping
from importer.pacing.pacing import Pace, Rate
from importer.results.edits import CellChange, RowEdit
from importer.resuming import Reopening
from importer.sending.engine import cut_off
from importer.sending.run_state import Orders, Posting, Stop
from importer.sending.worker_pool import Poster
from importer.sheets.rows import decode_cells, encode_cells
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
ORDERS = Orders(workers=4, settle_s=SETTLE_S, timeout_s=TIMEOUT_S, max_attempts=4, max_outage_s=600.0)
Cells = tuple[str, ...]


@dataclass
class Batch:
    """A batch on disk, and the world that it is sent to."""

    folder: Path
    world: World
    plan: Mapping
    journal: Path
    copies: int = 0
    orders: Orders = ORDERS

    @classmethod
    def staged(cls, folder: Path, world: World, rows: list[Cells], orders: Orders = ORDERS) -> Batch:
        mapping = folder / "mapping.yaml"
        mapping.write_text(MAPPING, encoding="utf-8")
        plan = load_mapping(mapping)
        mapper = plan.bind(HEADER)
        draft = JournalDraft(folder, "visits-20260731-053350-abcd")
        staged = []
        for number, cells in enumerate(rows, start=2):
            activity = _mapped(mapper, number, cells)
            world.wanted[activity] += 1
            staged.append(StagedRow(number, encode_cells(cells), activity.encoded(), None, RowStatus.PENDING))
        draft.add(staged, iso(EPOCH))
        draft.journal().state(**_facts(len(rows), plan))
        draft.publish()
        return cls(folder, world, plan, draft.path, orders=orders)

    def live(self, killed_after_s: float | None, skew_s: float) -> Stop | None:
        """One life, to its end or to the instant of its death."""
        loop = VirtualTimeLoop(start_s=self.world.now + 1.0)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(self._live(loop, killed_after_s, skew_s))

    async def _live(self, loop: VirtualTimeLoop, killed_after_s: float | None, skew_s: float) -> Stop | None:
        def wall() -> float:
            return EPOCH + loop.time() + skew_s

        with Journal.open(self.journal) as journal:
            cut_off(journal)
            tenant = ModelTenant(self.world, loop.time, wall)
            pace = Pace(Rate(1000, 1.0), clock=loop.time)
            writer = JournalWriter(journal, wall)
            loop.outstanding = lambda: writer.outstanding > 0
            writer.start()
            real = cast("Tenant", tenant)
            verifier = Verifier(real, journal, lambda _: (), marker=None, proves=True, wall=wall)
            posting = Posting(
                journal=journal, writer=writer, tenant=real, pace=pace, verifier=verifier, orders=self.orders,
                marker=None, clock=loop.time,
            )  # fmt: skip
            if killed_after_s is not None:
                loop.call_later(killed_after_s, self._kill, tenant, posting)
            before = self.journal
            stop = await Poster(posting, Looks(posting)).run()
            await writer.close()
            if self.journal == before:
                cut_off(journal)
            self.world.now = max(self.world.now, loop.time())
            self.world.flying.clear()
            return stop

    def _kill(self, tenant: ModelTenant, posting: Posting) -> None:
        """The journal as it lies on the disk now goes on; what this life still does is of no effect."""
        self.copies += 1
        copy = self.folder / f"copy-{self.copies}.journal"
        with closing(sqlite3.connect(self.journal)) as alive, closing(sqlite3.connect(copy)) as dead:
            alive.backup(dead)
        self.journal = copy
        tenant.dead = True
        posting.stop("killed", "Killed.")

    # ---- a person -------------------------------------------------------------------------------------

    def edit(self, number: int, outcome: str) -> None:
        """A person mends a row's outcome in the results file."""
        with Journal.open(self.journal) as journal:
            cut_off(journal)
            row = journal.row(number - 1)
            if row.status in {RowStatus.CREATED, RowStatus.SKIPPED} or row.activity is None:
                return
            cells = list(decode_cells(row.cells))
            change = CellChange("Outcome", 2, cells[2], outcome)
            cells[2] = outcome
            with journal.change() as connection:
                reopening = Reopening(journal, connection, self.plan.bind(HEADER), {}, at=iso(EPOCH))
                reopening.mend([RowEdit(number, tuple(cells), (change,))])
            self.world.wanted[Activity.decoded(journal.row(number - 1).activity or b"")] += 1

    def look_for_oneself(self) -> None:
        """A person looks at every uncertain row, sees it is not there, and says pending."""
        with Journal.open(self.journal) as journal, journal.change() as connection:
            reopening = Reopening(journal, connection, self.plan.bind(HEADER), {}, at=iso(EPOCH))
            for row in list(journal.rows(RowStatus.UNCERTAIN)):
                sent = {Activity.decoded(one.body) for one in journal.attempts(row.position)}
                there = [one.id for one in self.world.held if one.sent in sent and one.by == "us"]
                if not set(there) - journal.claimed(there):
                    reopening.release([row.position])

    def retry(self) -> None:
        with Journal.open(self.journal) as journal, journal.change() as connection:
            reopening = Reopening(journal, connection, self.plan.bind(HEADER), {}, at=iso(EPOCH))
            reopening.retry(refused_too=False)

    # ---- the truth ------------------------------------------------------------------------------------

    def wrongs(self) -> list[str]:
        """Everything that must never be, from the journal and the world together."""
        world = self.world
        wrong = list(world.broken)
        made = {one.id: one for one in world.held}
        with Journal.open(self.journal) as journal:
            rows = list(journal.rows())
            journal.shown_counts()
            sent = {row.position: [one.body for one in journal.attempts(row.position)] for row in rows}
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
        with Journal.open(self.journal) as journal:
            return [row.status.name.lower() for row in journal.rows()]


def _mapped(mapper: Any, number: int, cells: Cells) -> Activity:  # noqa: ANN401 - RowMapper
    from importer.sheets.rows import Row

    activity = mapper.map(Row(number, cells))
    assert isinstance(activity, Activity)
    return activity


def _facts(rows: int, plan: Mapping) -> dict[str, Any]:
    return {
        "id": "visits-20260731-053350-abcd", "created_at": iso(EPOCH), "tenant": "t/o", "host": "https://t",
        "organisation": "O", "user": "U", "rehearsal": False, "source": "/nowhere/visits.csv",
        "family": "text", "sheet": None, "header": list(HEADER), "header_row": 1, "delimiter": ",",
        "encoding": "utf-8", "hidden": None, "mapping": plan.record(), "content": "", "source_cells": "",
        "rows": rows, "skip_invalid": False, "results": "/nowhere/visits.results.csv",
    }  # fmt: skip
