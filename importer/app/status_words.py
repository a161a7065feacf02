"""What the results file says of single rows beyond their cells: words of a person, lines of a colleague's
run.  Ids are read back in LeadSquared before they are believed."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from importer.activity import addressed
from importer.app.changes import BatchChanges
from importer.app.observer import Observer, Progress, Stage
from importer.app.questions import Choice, Question, QuestionKind
from importer.leadsquared.calls import ReadFailed, Tenant, Unreachable
from importer.results.edits import NewerLine
from importer.results.status_edits import StatusEdit, StatusWord
from importer.sending.preflight import Presence, presence, why_not_this_rows
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.store.batch_rows import BatchRows
from importer.store.records import Batch, StoredRow
from importer.store.store import Store
from importer.wording import be, count

READ_TOGETHER: Final = 8
"""Questions about single Ids under way at a time; the pace spaces them."""
DELETED_NAMED_MAX: Final = 10
BY_WORD: Final = {
    StatusEdit.SKIP: "never sent, as you asked.",
    StatusEdit.TAKE_BACK: "to be sent after all.",
    StatusEdit.NOT_THERE: "not in LeadSquared, as you found; it is looked up once more, then sent.",
}


class Say(Protocol):
    """Gives notice to a person."""

    def __call__(self, text: str, *, warning: bool = False) -> None:
        """One or two sentences."""
        ...


class StatusWords:
    """wait_s: between two look-ups of an activity that seems to be deleted."""

    def __init__(
        self,
        store: Store,
        rows: BatchRows,
        batch: Batch,
        tenant: Tenant,
        *,
        say: Say,
        observer: Observer,
        wait_s: float,
    ) -> None:
        self._store, self._rows, self._batch, self._tenant = store, rows, batch, tenant
        self._say, self._observer, self._wait_s = say, observer, wait_s

    async def record_newer(self, newer: Sequence[NewerLine], changes: BatchChanges) -> int:
        """What a colleague's run wrote into the file is read back: what is confirmed is created; every other
        such row is looked up before it is sent. How many were confirmed."""
        if not newer:
            return 0
        positions = self._rows.positions(line.number for line in newer)
        gate = asyncio.Semaphore(READ_TOGETHER)
        done = 0

        async def confirm(line: NewerLine) -> str:
            nonlocal done
            row = changes.as_sent_elsewhere(positions[line.number], line.edit)
            async with gate:
                why = await self._why_not(row, line.activity_id, equal=True)
            done += 1
            self._observer.progress(Progress(Stage.LOOKING_UP, done, len(newer)))
            return why

        answers = await asyncio.gather(*(confirm(line) for line in newer))
        confirmed = 0
        for line, why in zip(newer, answers, strict=True):
            if why:
                self._say(
                    f"Row {line.number}: the file says created, but {why} It is looked up.", warning=True
                )
                changes.sent_elsewhere(positions[line.number])
            else:
                changes.created_elsewhere(positions[line.number], line)
                confirmed += 1
        self._say(
            f"This batch was continued elsewhere: {count(confirmed, 'row')} of the file {be(confirmed)}"
            " confirmed in LeadSquared and recorded as created."
        )
        return confirmed

    async def heed(self, words: Sequence[StatusWord], changes: BatchChanges) -> Question | None:
        """Takes over every word that holds; says which does not, and why. The question about rows that were
        deleted in LeadSquared, if there are any."""
        positions = self._rows.positions(word.number for word in words)
        deleted: list[int] = []
        for word in words:
            position = positions[word.number]
            if word.said in BY_WORD:
                self._say(f"Row {word.number}: {BY_WORD[word.said]}")
            if word.said is StatusEdit.SKIP:
                changes.skip(position)
            elif word.said is StatusEdit.TAKE_BACK:
                changes.take_back(position)
            elif word.said is StatusEdit.NOT_THERE:
                changes.not_there(position)
            elif word.said is StatusEdit.DELETED:
                if await self._is_gone(changes.row(position)):
                    changes.deleted(position)
                    deleted.append(word.number)
            else:
                await self._take_created(changes, position, word.activity_id)
        return _deleted_question(deleted) if deleted else None

    async def _take_created(self, changes: BatchChanges, position: int, activity_id: str) -> None:
        row = changes.row(position)
        why = await self._why_not(row, activity_id, equal=False)
        if why:
            self._say(f"Row {row.number}: {why} It stays uncertain.", warning=True)
        else:
            changes.created(position, activity_id)
            self._say(f"Row {row.number}: created, as you found, with Id {activity_id}.")

    async def _why_not(self, row: StoredRow, activity_id: str, *, equal: bool) -> str:
        rows, elsewhere = self._rows, OtherBatches(self._store, self._batch).claimed

        def claimed(ids: Collection[str]) -> Collection[str]:
            return {*rows.claimed(ids), *elsewhere(ids)}

        return await why_not_this_rows(
            activity_id, row, self._tenant, claimed, marker=self._batch.marker, equal=equal
        )

    async def _is_gone(self, row: StoredRow) -> bool:
        """Whether a created row's activity was deleted by hand."""
        account = addressed(row.activity or b"")[0]
        attempts = self._rows.attempts(row.position)
        start = min((one.marked_at for one in attempts), default=0.0)
        since = dt.datetime.fromtimestamp(max(start - 86_400, 0), dt.UTC)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        try:
            found = await presence(
                row.activity_id or "", account, (since, until), self._tenant, wait_s=self._wait_s
            )
        except Unreachable:
            raise
        except ReadFailed as error:
            self._say(f"Row {row.number}: {error.what} It stays created.", warning=True)
            return False
        if found is not Presence.GONE:
            why = "is still there" if found is Presence.THERE else "could not be looked up completely"
            self._say(
                f"Row {row.number}: its activity {row.activity_id} {why} in LeadSquared. It stays created.",
                warning=True,
            )
        return found is Presence.GONE


def _deleted_question(numbers: list[int]) -> Question:
    named = ", ".join(str(number) for number in numbers[:DELETED_NAMED_MAX])
    more = f" and {len(numbers) - DELETED_NAMED_MAX:,} more" if len(numbers) > DELETED_NAMED_MAX else ""
    rows = "row" if len(numbers) == 1 else "rows"
    return Question(
        QuestionKind.DELETED,
        f"The {'activity' if len(numbers) == 1 else 'activities'} of {rows} {named}{more}"
        f" {'was' if len(numbers) == 1 else 'were'} deleted in LeadSquared.",
        (Choice("again", f"Send {'it' if len(numbers) == 1 else 'them'} again", "--yes"),),
        "--yes",
        rows=len(numbers),
    )
