"""`resume` on another computer: the batch's journal made anew from its results file."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from importer.cli.console import Console
from importer.cli.wording import count
from importer.errors import ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    from importer.batches import Named
    from importer.cli.wishes import ResumeWishes
    from importer.journal.draft import JournalDraft
    from importer.journal.journal import Batch
    from importer.leadsquared.answers import CurrentUser
    from importer.mapping.mapping import Mapping
    from importer.rebuilding import Rebuilt
    from importer.results.results_reader import ResultsFile
    from importer.sending.run_state import Orders
    from importer.settings import Settings


async def rebuild_batch(
    console: Console,
    named: Named,
    orders: Orders,
    wishes: ResumeWishes,
    *,
    host: str | None,
    rate: str | None,
) -> None:
    """Publishes the journal of a batch that this computer does not have. Raises UserError; sends nothing."""
    import time

    from importer import rebuilding
    from importer.activity import Marker
    from importer.cli.line import connect_for
    from importer.cli.looking_up import looked_up
    from importer.home import home
    from importer.journal.draft import JournalDraft
    from importer.journal.writer import iso
    from importer.mapping.mapping import load_mapping
    from importer.results.results_reader import read_results

    path = _file(named)
    plan = load_mapping(_mapping(named, wishes))
    rebuilding.started_at(named.batch)
    for notice in home().prepare():
        console.warn(notice)
    with ExitStack() as stack:
        file = stack.enter_context(read_results(path))
        mapper = plan.bind(file.header)
        asked = rebuilding.asked(file, mapper) if mapper.needs_lookups else {}
        draft = JournalDraft(home().journals, named.batch)
        stack.callback(draft.discard)
        async with connect_for(named.batch, orders, host, rate, rehearsal=wishes.sandbox, asked=asked) as (
            settings,
            line,
            user,
        ):
            resolved = await looked_up(console, line.tenant, asked) if asked else {}
            made = rebuilding.rebuild(
                draft, file, mapper, resolved,
                marker=Marker(plan.marker, named.batch) if plan.marker else None,
                at=iso(time.time()), clock_s=line.tenant.clock_difference_s,
            )  # fmt: skip
        since = rebuilding.started_at(named.batch)
        batch = _batch(
            named.batch, file=file, plan=plan, made=made, settings=settings, user=user,
            rehearsal=wishes.sandbox,
        )  # fmt: skip
        draft.journal().state(**batch.facts(), rebuilt=since)
        _publish(draft, batch, settings)
    console.say(_told(named, path, made))


def _told(named: Named, path: Path, made: Rebuilt) -> str:
    return (
        f"The journal of batch {named.batch} is not on this computer: made anew from {path.name}."
        f" {count(made.created, 'row')} created, {count(made.in_doubt, 'row')} in doubt: each is looked for"
        " in LeadSquared before it is sent, and sent only where nothing that could be it stands there."
    )


def _file(named: Named) -> Path:
    if named.results is None:
        raise ResultsError(
            "The batch's journal is not on this computer, and its results file was not named.",
            where=named.batch,
            remedy="Say importer resume RESULTS -m MAPPING, with the results file.",
        )
    return named.results


def _mapping(named: Named, wishes: ResumeWishes) -> Path:
    if wishes.mapping is None:
        raise ResultsError(
            "The batch's journal is not on this computer (another one sent it, or it was deleted).",
            where=named.batch,
            remedy="Resume it where it was sent, or here with its mapping: resume RESULTS -m MAPPING.",
        )
    return wishes.mapping


def _batch(
    name: str,
    *,
    file: ResultsFile,
    plan: Mapping,
    made: Rebuilt,
    settings: Settings,
    user: CurrentUser,
    rehearsal: bool,
) -> Batch:
    from importer.journal.journal import Batch
    from importer.journal.writer import iso
    from importer.rebuilding import started_at
    from importer.results.results_writer import digest_of
    from importer.sending.engine import tenant_name

    return Batch(
        id=name,
        created_at=iso(started_at(name)),
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
        mapping=plan.record(),
        content=made.digests.content,
        source_cells=made.digests.source_cells,
        rows=made.rows,
        skip_invalid=True,
        results=str(file.path.absolute()),
        results_digest=digest_of(file.path),  # all that it says was just taken over
        marker=plan.marker,
    )


def _publish(draft: JournalDraft, batch: Batch, settings: Settings) -> None:
    """Rows and Ids that the ledger had of this batch go on protecting; another window is kept out."""
    from importer.journal.lock import batch_lock
    from importer.ledger.ledger import Ledger

    with batch_lock(draft.path):
        if batch.rehearsal:
            draft.publish()
            return
        with Ledger.open(settings.home.root) as ledger, ledger.registering():
            ledger.register(draft.journal())
            draft.publish()
