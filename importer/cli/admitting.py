"""The last steps before the first POST of `run`: what ledger and tenant know, the question, the journal.

Everything up to the question leaves nothing behind; look-up and registration in the ledger are one
transaction after it, so that of two runs started at the same moment only one goes on.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cli.canary import send_after_canary
from importer.cli.console import Console
from importer.cli.sending import conclude, told_all_the_same, write_results_shown
from importer.cli.standing import expected, quoted
from importer.cli.wording import count
from importer.errors import ImporterError, UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from importer.cli.wishes import Wishes
    from importer.journal.draft import JournalDraft
    from importer.journal.journal import Batch
    from importer.ledger.candidate import Overlap
    from importer.ledger.ledger import Ledger
    from importer.ledger.rows import Entry
    from importer.sending.engine import Line
    from importer.sending.reconcile.verifier import Claimed
    from importer.sending.run_state import Orders
    from importer.settings import Settings

NEVER_TWICE = "Nothing was sent, so that nothing is created twice."


@dataclass(frozen=True, slots=True)
class Applicant:
    """A staged batch that asks to be let in."""

    batch: Batch
    draft: JournalDraft
    settings: Settings
    line: Line
    events: tuple[int, ...]


async def admit(console: Console, applicant: Applicant, orders: Orders, wishes: Wishes) -> int:
    """Asks, publishes, sends and tells. The exit code. Raises UserError as long as nothing was sent."""
    from importer.journal.journal import Journal
    from importer.ledger.ledger import Ledger

    batch = applicant.batch
    applicant.draft.journal().state(**batch.facts())
    with ExitStack() as stack:
        claimed: Claimed = nobody
        if batch.rehearsal:
            lock = _publish(console, applicant, _earlier_rehearsals(applicant))
        else:
            ledger = stack.enter_context(Ledger.open(applicant.settings.home.root))
            stack.callback(catch_up, console, ledger, batch.id)
            await _ask(console, applicant, ledger, orders, wishes)
            lock = _register(console, applicant, ledger, wishes)
            claimed = claimed_by_others(ledger, batch)
        stack.callback(lock.release)
        journal = stack.enter_context(Journal.open(applicant.draft.path))
        with told_all_the_same(console, journal):
            sent = await send_after_canary(
                console, journal, applicant.line, orders, claimed, canary=wishes.canary
            )
        return conclude(console, journal, sent)


def catch_up(console: Console, ledger: Ledger, batch: str) -> None:
    """At the end of a run. What the ledger cannot take now it reads from the journal before it is asked."""
    try:
        ledger.catch_up_batch(batch)
    except ImporterError as error:
        console.detail(str(error))


def nobody(_activity_ids: Collection[str]) -> Collection[str]:
    return ()


def claimed_by_others(ledger: Ledger, batch: Batch) -> Claimed:
    """Which activities rows of other batches of the tenant hold."""
    return lambda ids: ledger.claimed(batch.tenant, ids, apart_from=batch.id)


# ---- what is known already ----------------------------------------------------------------------------


async def _ask(
    console: Console, applicant: Applicant, ledger: Ledger, orders: Orders, wishes: Wishes
) -> None:
    """All that a person has to decide. Raises UserError for "no", and where nobody can be asked."""
    from importer.ledger.candidate import Candidate

    ledger.catch_up(applicant.batch.tenant)
    candidate = Candidate(ledger, applicant.draft.journal())
    if not wishes.again:
        _refuse_same(candidate.same_sheet())
        overlap = candidate.overlap()
        _refuse_held(overlap)
        if overlap.created:
            only_new = wishes.only_new or _only_new(console, overlap, wishes)
            if only_new:
                _take_over(console, applicant, ledger)
    await _look_at_row_one(console, applicant, ledger, wishes)
    _question(console, applicant, orders, wishes)


def _refuse_same(same: list[Entry]) -> None:
    if not same:
        return
    entry = same[0]
    raise UserError(
        f"This sheet was imported before: batch {entry.id}, {entry.source_name},"
        f" {count(entry.rows, 'row')}, begun {entry.created_at[:16].replace('T', ' ')} UTC. {NEVER_TWICE}",
        remedy=f"{_whats_left(entry)}: importer resume {_resumable(entry)}. To send the whole sheet once"
        " more on purpose, say --again.",
    )


def _whats_left(entry: Entry) -> str:
    return "Go on with that batch" if entry.held else "It holds no open row; look at it, or retry what failed"


def _refuse_held(overlap: Overlap) -> None:
    if not overlap.held:
        return
    entry, rows = overlap.held_by[0]
    finish = (
        "Its journal is missing: resume it from its results file with -m MAPPING."
        if entry.missing
        else f"Finish that one first: importer resume {_resumable(entry)}."
    )
    raise UserError(
        f"{count(overlap.held, 'row')} of this sheet {_are(overlap.held)} still open in another batch"
        f" ({entry.id}, {entry.source_name}: {rows:,}). {NEVER_TWICE}",
        remedy=f"{finish} To send them here as well on purpose, say --again.",
    )


def _resumable(entry: Entry) -> str:
    return quoted(entry.results) if Path(entry.results).is_file() else entry.id


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _only_new(console: Console, overlap: Overlap, wishes: Wishes) -> bool:
    """Whether to send only the rows that are not there yet; a "no" ends the run."""
    names = ", ".join(f"{entry.source_name} ({entry.id}): {rows:,}" for entry, rows in overlap.created_by[:5])
    rows = f"{count(overlap.created, 'row')} of this sheet {_are(overlap.created)}"
    told = f"{rows} in LeadSquared already: {names}."
    remedy = "Say --only-new to send only the others, or --again to send all of them once more."
    if wishes.yes or not console.has_terminal:
        raise UserError(f"{told} {NEVER_TWICE}", remedy=remedy)
    console.warn(told)
    if not console.ask("Send only the other rows?", without_terminal=remedy):
        raise UserError("Nothing was sent.", remedy=remedy)
    return True


def _take_over(console: Console, applicant: Applicant, ledger: Ledger) -> None:
    """Rows that are there already end as created, with the earlier Id and without an attempt."""
    from importer.journal.journal import RowStatus
    from importer.ledger.candidate import Candidate

    journal = applicant.draft.journal()
    earlier = [
        (one.activity_id, RowStatus.CREATED, one.position) for one in Candidate(ledger, journal).earlier()
    ]
    with journal.change() as connection:
        connection.executemany("UPDATE row SET activity_id = ?, status = ? WHERE position = ?", earlier)
    console.say(f"{count(len(earlier), 'row')} {_are(len(earlier))} there already and not sent again.")


async def _look_at_row_one(console: Console, applicant: Applicant, ledger: Ledger, wishes: Wishes) -> None:
    """May these keys read? And has a colleague, whose ledger is not ours, imported this sheet?"""
    from importer.sending.preflight import look_at_row_one

    found = await look_at_row_one(
        applicant.draft.journal(), applicant.line.tenant, claimed_by_others(ledger, applicant.batch)
    )
    if found.cannot_read:
        console.warn(
            f"These keys may not read activities back ({found.cannot_read}): rows of which LeadSquared does"
            " not say whether it created them will end as uncertain."
        )
    if not found.equal or wishes.again:
        return
    told = (
        f"An activity equal to row {found.row_number} stands in LeadSquared already (Id {found.equal},"
        f" created {found.created_on}). A colleague may have imported this sheet."
    )
    if wishes.yes or not console.has_terminal:
        raise UserError(f"{told} {NEVER_TWICE}", remedy="Ask them. To send it all the same, say --again.")
    console.warn(told)
    if not console.ask("Send all the same?", without_terminal="Say --again."):
        raise UserError("Nothing was sent.")


def _question(console: Console, applicant: Applicant, orders: Orders, wishes: Wishes) -> None:
    from importer.journal.journal import RowStatus

    batch, rate = applicant.batch, applicant.settings.rate
    rows = applicant.draft.journal().counts().get(RowStatus.PENDING, 0)
    rows = rows if orders.limit is None else min(rows, orders.limit)
    skipped = applicant.draft.journal().counts().get(RowStatus.INVALID, 0)
    events = ", ".join(map(str, applicant.events)) or "from the sheet"
    lines = [
        f"Organisation   {batch.organisation or batch.tenant}",
        f"User           {batch.user}",
        f"Host           {batch.host}",
        f"Sheet          {Path(batch.source).name}{f', sheet {batch.sheet}' if batch.sheet else ''}",
        f"Activity type  {events}",
        f"Rows to send   {rows:,}" + (f" ({skipped:,} invalid ones are left out)" if skipped else ""),
        f"Rate           {rate.calls} calls in {rate.period_s:g} s, so {expected(rows, rate)}",
        "This cannot be undone: LeadSquared has no way to delete activities.",
    ]
    for line in lines:
        console.say(line)
    if not wishes.yes and not console.ask("Send?", without_terminal="Say --yes to send without being asked."):
        raise UserError("Nothing was sent.")


# ---- letting it in ------------------------------------------------------------------------------------


def _register(console: Console, applicant: Applicant, ledger: Ledger, wishes: Wishes) -> BaseFileLock:
    """One transaction: what another window did since the question makes the question void."""
    from importer.ledger.candidate import Candidate

    lock: BaseFileLock | None = None
    try:
        with ledger.registering():
            candidate = Candidate(ledger, applicant.draft.journal())
            if not wishes.again:
                _refuse_same(candidate.same_sheet())
                overlap = candidate.overlap()
                _refuse_held(overlap)
                _refuse_created(overlap)
            replaced = candidate.register()
            lock = _publish(console, applicant, [(entry.id, Path(entry.results)) for entry in replaced])
    except BaseException:
        if lock is not None:  # the ledger could not be written in the end
            _withdraw(applicant, lock)
        raise
    return lock


def _refuse_created(overlap: Overlap) -> None:
    if overlap.created:
        raise UserError(
            f"Another window has just created {count(overlap.created, 'row')} of this sheet. {NEVER_TWICE}",
            remedy="Start again.",
        )


def _publish(console: Console, applicant: Applicant, replaced: list[tuple[str, Path]]) -> BaseFileLock:
    """The journal under its name, locked, and the results file with every row pending; or nothing at all."""
    from importer import batches
    from importer.journal.journal import Journal
    from importer.journal.lock import batch_lock
    from importer.results.results_reader import batch_id_in

    path = applicant.draft.path
    lock = batch_lock(path)
    try:
        applicant.draft.publish()
        with Journal.open(path) as journal:
            written = write_results_shown(
                console,
                lambda told: batches.write(journal, replaces=[one for one, _ in replaced], progress=told),
            )
    except BaseException:
        _withdraw(applicant, lock)
        raise
    for batch, results in replaced:
        if results != written.path and results.is_file() and batch_id_in(results) == batch:
            results.unlink(missing_ok=True)
    return lock


def _withdraw(applicant: Applicant, lock: BaseFileLock) -> None:
    """Takes back what was published of a batch that was not let in after all."""
    from importer.journal.lock import lock_path
    from importer.results.results_reader import batch_id_in

    path, results = applicant.draft.path, Path(applicant.batch.results)
    lock.release()
    for left in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")), lock_path(path)):
        left.unlink(missing_ok=True)
    for left in results.parent.glob(f"{escape(results.stem)}*{results.suffix}"):
        if batch_id_in(left) == applicant.batch.id:
            left.unlink(missing_ok=True)


def _earlier_rehearsals(applicant: Applicant) -> list[tuple[str, Path]]:
    """Takes away the rehearsals of this sheet that nobody is at work on: a new one replaces them."""
    from importer import batches
    from importer.cli.line import rehearsal_store
    from importer.journal.lock import batch_lock, lock_path
    from importer.ledger.ledger import REHEARSAL
    from importer.results.results_reader import batch_id_in

    home = applicant.settings.home
    replaced = []
    for journal, batch in batches.rehearsals(home):
        if batch.source != applicant.batch.source or batch.id == applicant.batch.id:
            continue
        try:
            batch_lock(journal).release()
        except ImporterError:
            continue  # it runs in another window
        store = rehearsal_store(home.sandbox, batch.id)
        for file in (journal, store):
            for end in ("", "-wal", "-shm"):
                file.with_name(file.name + end).unlink(missing_ok=True)
        lock_path(journal).unlink(missing_ok=True)
        replaced.append((batch.id, Path(batch.results)))
    results = Path(applicant.batch.results)
    there = batch_id_in(results) if results.is_file() else None
    if there and there.startswith(REHEARSAL) and not (home.journals / f"{there}.journal").exists():
        replaced.append((there, results))  # of another home, or one that was deleted: nobody misses it
    return replaced
