"""One `resume`, from the batch that was named to its results file."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.cli.admitting import catch_up, claimed_by_others, nobody
from importer.cli.canary import send_after_canary
from importer.cli.console import Console
from importer.cli.sending import conclude, told_all_the_same
from importer.cli.standing import expected
from importer.cli.wording import count
from importer.errors import ResultsError, UserError

if TYPE_CHECKING:
    from importer.batches import Named
    from importer.cli.wishes import ResumeWishes
    from importer.journal.journal import Batch, Journal
    from importer.ledger.ledger import Ledger
    from importer.mapping.mapping import Mapping, RowMapper
    from importer.results.edits import Edits
    from importer.resuming import Changes, Reopening
    from importer.sending.engine import Line, Sent
    from importer.sending.reconcile.verifier import Claimed
    from importer.sending.run_state import Orders
    from importer.settings import Settings
    from importer.sheets.rows import Row
    from importer.staging import Asked

LINES_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Resumption:
    """A batch that is locked and open, and what is to be done with it. read: digest of the results file as
    its edits were read."""

    console: Console
    named: Named
    orders: Orders
    wishes: ResumeWishes
    journal: Journal
    batch: Batch
    plan: Mapping
    mapper: RowMapper
    edits: Edits | None
    read: str | None

    @classmethod
    def of(
        cls, console: Console, named: Named, orders: Orders, wishes: ResumeWishes, stack: ExitStack
    ) -> Resumption:
        """Locks and opens the batch until `stack` ends. Raises UserError, the batch untouched."""
        from importer.journal.journal import Journal
        from importer.journal.lock import batch_lock

        stack.callback(batch_lock(named.journal).release)
        journal = stack.enter_context(Journal.open(named.journal))
        batch = journal.batch()
        plan = _plan(batch, wishes)
        mapper = plan.bind(batch.header)
        edits, read = _edits(console, named, journal)
        return cls(console, named, orders, wishes, journal, batch, plan, mapper, edits, read)

    async def go(self, host: str | None, rate: str | None) -> int:
        """Changes, sends and tells; the exit code."""
        if not self._anything_to_do():
            self.console.say("Nothing is left to send.")
            return self._conclude(None)
        if self._work_is_left():
            self._may_ask()
        async with self._connected(host, rate) as (settings, line):
            with ExitStack() as stack:
                claimed: Claimed = nobody
                ledger: Ledger | None = None
                if not self.batch.rehearsal:
                    from importer.ledger.ledger import Ledger

                    ledger = stack.enter_context(Ledger.open(settings.home.root))
                    ledger.catch_up(self.batch.tenant)
                    stack.callback(catch_up, self.console, ledger, self.batch.id)
                    claimed = claimed_by_others(ledger, self.batch)
                await self._change(settings, line, ledger)
                if not self._work_is_left():
                    return self._conclude(None)
                with told_all_the_same(self.console, self.journal, self._results(), self.read):
                    sent = await send_after_canary(
                        self.console, self.journal, line, self.orders, claimed, canary=self.wishes.canary
                    )
                return self._conclude(sent)

    def _conclude(self, sent: Sent | None) -> int:
        return conclude(self.console, self.journal, sent, self._results(), self.read)

    def _may_ask(self) -> None:
        """Raises UserError before any call when the question could not be asked."""
        if not self.wishes.yes and not self.wishes.sandbox and not self.console.has_terminal:
            raise UserError(
                "resume asks before it sends, and there is no terminal to ask at.",
                remedy="Say --yes to send without being asked.",
            )

    def _results(self) -> Path:
        """Where the results file goes: where the person says, or where they had it."""
        from importer.results.results_writer import results_path

        if self.wishes.results is not None:
            source = Path(self.batch.source)
            rehearsal = self.batch.rehearsal
            return results_path(source, self.batch.family, rehearsal=rehearsal, explicit=self.wishes.results)
        return self.named.results or Path(self.batch.results)

    # ---- what there is to do ----------------------------------------------------------------------

    def _work_is_left(self) -> bool:
        counts = self.journal.shown_counts()
        return bool(counts["pending"] or counts["uncertain"])

    def _anything_to_do(self) -> bool:
        from importer.journal.journal import RowStatus
        from importer.resuming import WITHOUT_REFUSAL

        if self._work_is_left() or self.wishes.remap:
            return True
        if self.edits is not None and (self.edits.rows or self.edits.words):
            return True
        counts = self.journal.counts()
        if counts.get(RowStatus.INVALID) and self.mapper.needs_lookups:
            return True
        if not counts.get(RowStatus.FAILED):
            return False
        failed = self.journal.rows(RowStatus.FAILED)
        return self.wishes.retry_failed or any(row.error_code == WITHOUT_REFUSAL for row in failed)

    def _asked(self) -> Asked:
        """What has to be looked up for the rows that are mapped again."""
        values: Asked = {}
        for row in self._mapped_again() if self.mapper.needs_lookups else ():
            for lookup, value in self.mapper.lookup_values(row):
                values.setdefault(lookup, {}).setdefault(lookup.key(value), value)
        return values

    def _mapped_again(self) -> Iterator[Row]:
        from importer.journal.journal import RowStatus
        from importer.sheets.rows import Row
        from importer.staging import source_row

        for row in self.journal.rows(None if self.wishes.remap else RowStatus.INVALID):
            if row.status is not RowStatus.CREATED:
                yield source_row(row)
        if self.edits is None:
            return
        for edit in self.edits.rows:
            yield from (Row(edit.number, cells) for cells in (edit.cells, edit.typed) if cells is not None)
        for position in self.journal.positions(word.number for word in self.edits.words).values():
            yield source_row(self.journal.row(position))

    # ---- the tenant -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _connected(self, host: str | None, rate: str | None) -> AsyncIterator[tuple[Settings, Line]]:
        """The line to the batch's own tenant. Raises UserError for another one, WorkError for none."""
        from importer.cli.line import connect_for
        from importer.sending.engine import tenant_name

        asked = self._asked() if self.batch.rehearsal else {}
        async with connect_for(
            self.batch.id, self.orders, host, rate, rehearsal=self.batch.rehearsal, asked=asked
        ) as (settings, line, user):
            tenant = tenant_name(settings.base_url, user, rehearsal=self.batch.rehearsal)
            if tenant != self.batch.tenant:
                raise ResultsError(
                    f"This batch belongs to {self.batch.organisation or self.batch.tenant} on"
                    f" {self.batch.tenant}, and the keys to {tenant}.",
                    where=self.batch.id,
                    remedy="Use the host and keys of the batch's own organisation. Nothing was sent.",
                )
            yield settings, line

    # ---- changing the batch -----------------------------------------------------------------------

    async def _change(self, settings: Settings, line: Line, ledger: Ledger | None) -> None:
        """What the person said, taken over in one transaction that a "no" at the question undoes."""
        from importer.cli.looking_up import looked_up
        from importer.journal.writer import iso
        from importer.resuming import Reopening
        from importer.sending.engine import cut_off

        asked = self._asked()
        resolved = await looked_up(self.console, line.tenant, asked, self.journal) if asked else {}
        cut_off(self.journal)
        with self.journal.change() as connection:
            lost = _found_again(self.journal, ledger)
            reopening = Reopening(self.journal, connection, self.mapper, resolved, at=iso(time.time()))
            await self._heed(reopening, line, ledger)
            self._tell(reopening.changes, lost)
            if ledger is not None:
                _refuse_what_others_have(self.journal, ledger, reopening.changes)
            self._question(settings)
            if self.wishes.remap:
                self.journal.state(mapping=self.plan.record(), marker=self.plan.marker)

    async def _heed(self, reopening: Reopening, line: Line, ledger: Ledger | None) -> None:
        from importer.cli.words import heed_words

        if self.wishes.remap:
            reopening.remap()
        if self.edits is not None:
            reopening.mend(self.edits.rows)
            claimed = nobody if ledger is None else claimed_by_others(ledger, self.batch)
            await heed_words(self.console, reopening, self.edits.words, line.tenant, claimed)
        if self.mapper.needs_lookups:
            reopening.map_invalid()
        reopening.retry(refused_too=self.wishes.retry_failed)

    def _tell(self, changes: Changes, lost: int) -> None:
        say = self.console.say
        if lost:
            say(f"{count(lost, 'row')} that the ledger knows as created: taken over, not sent again.")
        for line in changes.shown[:LINES_SHOWN]:
            say(f"Changed: {line}")
        if len(changes.shown) > LINES_SHOWN:
            say(f"… and {len(changes.shown) - LINES_SHOWN:,} more changes.")
        for line in changes.problems[:LINES_SHOWN]:
            say(f"Still invalid: {line}")
        if len(changes.problems) > LINES_SHOWN:
            say(f"… and {len(changes.problems) - LINES_SHOWN:,} more invalid rows.")

    def _question(self, settings: Settings) -> None:
        counts = self.journal.shown_counts()
        pending, uncertain = counts["pending"], counts["uncertain"]
        if not pending and not uncertain:
            return
        rows = pending if self.orders.limit is None else min(pending, self.orders.limit)
        lines = [
            f"Batch          {self.batch.id}, {Path(self.batch.source).name}",
            f"Organisation   {self.batch.organisation or self.batch.tenant}",
        ]
        if rows:
            lines.append(f"Rows to send   {rows:,}, in {expected(rows, settings.rate)}")
        if uncertain:
            lines.append(
                f"Rows in doubt  {uncertain:,}: looked up first, and sent only if they are not there"
            )
        for line in lines:
            self.console.say(line)
        if self.wishes.yes or self.wishes.sandbox:
            return
        if not self.console.ask("Send?", without_terminal="Say --yes to send without being asked."):
            raise UserError("Nothing was sent and nothing was changed.")


def _plan(batch: Batch, wishes: ResumeWishes) -> Mapping:
    """The batch's mapping, or with --remap the new one. Raises UserError for another one without --remap."""
    from importer.mapping.mapping import Mapping, load_mapping

    own = Mapping.from_record(batch.mapping)
    if wishes.mapping is None:
        return own
    given = load_mapping(wishes.mapping)
    if given.digest != own.digest and not wishes.remap:
        raise UserError(
            "This is not the mapping that the batch was begun with.",
            where=str(wishes.mapping),
            remedy="Leave -m out to go on as before, or say --remap to map again what is not created.",
        )
    return given


def _edits(console: Console, named: Named, journal: Journal) -> tuple[Edits | None, str | None]:
    """What a person said in the results file (None when it is as we wrote it, or there is none), and the
    file's digest."""
    from importer import batches
    from importer.results.edits import edits
    from importer.results.results_reader import read_results
    from importer.results.results_writer import digest_of

    path = named.results
    batch = journal.batch()
    if path is None or not path.is_file():
        return None, None
    read = digest_of(path)
    if read == batch.results_digest:
        return None, read
    with read_results(path) as file:
        found = edits(file, batch.header, lambda: batches.result_lines(journal))
    for note in found.notes:
        console.say(note)
    for named_ones, what in ((found.ignored, "Ignored"), (found.respelt, "Taken as it was")):
        for text in named_ones.first:
            console.say(f"{what}: {text}")
        if named_ones.total > len(named_ones.first):
            console.say(f"… and {named_ones.total - len(named_ones.first):,} more.")
    for edit in found.corrections:
        for line in edit.described():
            console.say(f"{line}: the row was created, and stays as it was sent.")
    if found.older:
        console.say(
            f"{count(found.older, 'line')} of this file are of an older copy: what their import_status says"
            " is ignored."
        )
    return found, read


def _found_again(journal: Journal, ledger: Ledger | None) -> int:
    """Rows that the ledger knows as created and this journal does not: it is an older copy, put back."""
    from importer.journal.journal import RowStatus

    lost = [] if ledger is None else ledger.lost(journal)
    with journal.change() as connection:
        connection.executemany(
            "UPDATE row SET status = ?, activity_id = ?, error_code = '', error = '' WHERE position = ?",
            [(RowStatus.CREATED, made, position) for position, made in lost],
        )
    return len(lost)


def _refuse_what_others_have(journal: Journal, ledger: Ledger, changes: Changes) -> None:
    """Rows that go back to be sent must not be another batch's by now."""
    from importer.ledger.candidate import Candidate

    if not changes.to_send:
        return
    candidate = Candidate(ledger, journal, changes.to_send)
    overlap = candidate.overlap()
    if not overlap.created and not overlap.held:
        return
    entry, _ = (overlap.created_by or overlap.held_by)[0]
    numbers = ", ".join(
        str(journal.row(one.position).number) for one, _ in zip(candidate.earlier(), range(10), strict=False)
    )
    which = f" (rows {numbers})" if numbers else ""
    raise ResultsError(
        f"{count(overlap.created + overlap.held, 'row')} that would be sent again{which} belong to another"
        f" batch by now: {entry.id}, {entry.source_name}. Nothing was sent.",
        remedy="Set import_status of these rows to skipped, then resume.",
    )
