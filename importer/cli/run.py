"""`importer run`: check, ask, post, write the results file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.cli import options
from importer.cli.console import Console
from importer.cli.wishes import Wishes
from importer.errors import JournalError, UserError

if TYPE_CHECKING:
    from importer.checking.survey import Survey
    from importer.journal.draft import JournalDraft
    from importer.journal.journal import Batch
    from importer.leadsquared.answers import CurrentUser
    from importer.mapping.mapping import Mapping, RowMapper
    from importer.sending.engine import Line
    from importer.sending.run_state import Orders
    from importer.settings import Settings
    from importer.sheets import Sheet
    from importer.staging import Asked, Digests

DISK: Final = "See that the disk has room and the folder can be written, then run it again."


def run(
    console: Console,
    *,
    source: options.Source,
    mapping: options.MappingFile,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    yes: options.Yes = False,
    limit: options.Limit = None,
    canary: options.Canary = None,
    results: options.ResultsPath = None,
    skip_invalid: options.SkipInvalid = False,
    accept: options.Accept = None,
    again: options.Again = False,
    only_new: options.OnlyNew = False,
    sheet: options.SheetName = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    hidden: options.Hidden = None,
    rate: options.RateLimit = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    max_outage: options.MaxOutage = options.DEFAULT_MAX_OUTAGE_S,
    settle: options.Settle = options.DEFAULT_SETTLE_S,
    max_attempts: options.MaxAttempts = options.DEFAULT_MAX_ATTEMPTS,
    keep_going: options.KeepGoing = False,
) -> int:
    """Check a sheet, ask, send every row, write the results file.

    Ends with 0 if every row was created, 1 if some failed or are uncertain, 2 if nothing was sent, 3 if rows
    are still pending (importer resume goes on), 130 after Ctrl-C.

    \b
    Examples:
      importer run visits.csv -m visits.yaml --sandbox
      importer run visits.csv -m visits.yaml --limit 3
      importer run visits.csv -m visits.yaml --yes --json
    """
    from importer.cli.reading import open_source, sheet_options
    from importer.mapping.mapping import load_mapping
    from importer.results.results_writer import results_path
    from importer.sending.run_state import Orders

    plan = load_mapping(mapping)
    how = sheet_options(plan, sheet=sheet, encoding=encoding, delimiter=delimiter, hidden=hidden)
    orders = Orders(
        workers=workers,
        settle_s=settle,
        timeout_s=timeout,
        max_attempts=max_attempts,
        max_outage_s=max_outage,
        keep_going=keep_going,
        limit=limit,
    )
    accepted = plan.accept | options.accepted(accept)
    wishes = Wishes(yes, sandbox, skip_invalid, again, only_new, canary, accepted)
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source, how))
        mapper = plan.bind(opened.header)
        place = results_path(opened.path.absolute(), opened.family, rehearsal=sandbox, explicit=results)
        importing = Importing(console, opened, plan, mapper, orders, wishes, place, datetime.now(UTC))
        return _done(importing, host, rate)


def _done(importing: Importing, host: str | None, rate: str | None) -> int:
    """Before the first Create, trouble with the disk leaves nothing behind, and is not one of the work."""
    import asyncio

    from importer.cli.sending import ended_by_signals

    try:
        with ended_by_signals():
            return asyncio.run(importing.go(host, rate))
    except JournalError as error:
        if importing.console.sending:
            raise
        raise UserError(f"{error.what} Nothing was sent.", where=error.where, remedy=DISK) from error


@dataclass(frozen=True, slots=True)
class Importing:
    """One `run`, from an opened sheet to its results file."""

    console: Console
    sheet: Sheet
    plan: Mapping
    mapper: RowMapper
    orders: Orders
    wishes: Wishes
    results: Path
    now: datetime

    async def go(self, host: str | None, rate: str | None) -> int:
        from importer.cli.admitting import Applicant, admit
        from importer.cli.line import line_to, rehearsing
        from importer.home import home
        from importer.settings import load_settings
        from importer.staging import batch_id

        real = None if self.wishes.sandbox else load_settings(host=host, rate=rate)
        self._may_ask()
        for notice in home().prepare():
            self.console.warn(notice)
        batch = batch_id(self.now, rehearsal=self.wishes.sandbox)
        async with AsyncExitStack() as stack:
            draft = stack.enter_context(_drafting(home().journals, batch))
            survey, digests = self._stage(draft)
            asked = self._asked(draft)
            settings = (
                await stack.enter_async_context(rehearsing(batch, rate, asked)) if real is None else real
            )
            line = await stack.enter_async_context(line_to(settings, self.orders, shared=real is not None))
            user = await self._whoami(line, settings)
            if asked:
                digests = await self._look_up(draft, line, asked, survey)
            facts = self._batch(batch, settings, user, survey, digests)
            applicant = Applicant(facts, draft, settings, line, self.plan.event_codes)
            return await admit(self.console, applicant, self.orders, self.wishes)

    def _may_ask(self) -> None:
        if not self.wishes.yes and not self.wishes.sandbox and not self.console.has_terminal:
            raise UserError(
                "run asks before it sends, and there is no terminal to ask at.",
                remedy="Say --yes to send without being asked.",
            )

    def _stage(self, draft: JournalDraft) -> tuple[Survey, Digests]:
        from importer.checking.survey import Survey
        from importer.cli.progress import Progress
        from importer.staging import stage

        survey = Survey(self.mapper, self.wishes.accepted)
        with Progress(self.console, "Reading") as progress:
            digests = stage(
                draft, self.sheet, self.mapper, survey, at=_iso(self.now),
                progress=lambda rows: progress.show(rows, invalid=survey.invalid),
            )  # fmt: skip
        self.sheet.check_unchanged()
        self._sendable(survey)
        return survey, digests

    def _sendable(self, survey: Survey) -> None:
        """Raises SheetError when nothing, or not all, can be sent."""
        from importer.cli.reading import refuse_unless_sendable

        limited = self.orders.limit is not None and not survey.records_invalid
        skip_invalid = self.wishes.skip_invalid or limited
        refuse_unless_sendable(self.console, survey, self.sheet, skip_invalid=skip_invalid)

    def _asked(self, draft: JournalDraft) -> Asked:
        """The distinct values that have to be looked up, by lookup."""
        from importer.staging import asked

        return asked(draft.journal(), self.mapper) if self.mapper.needs_lookups else {}

    async def _look_up(self, draft: JournalDraft, line: Line, asked: Asked, survey: Survey) -> Digests:
        from importer.cli.looking_up import looked_up
        from importer.cli.progress import Progress
        from importer.staging import map_again

        journal = draft.journal()
        resolved = await looked_up(self.console, line.tenant, asked, journal)
        with Progress(self.console, "Mapping") as progress:
            digests = map_again(
                journal, self.mapper, resolved, survey, at=_iso(self.now),
                progress=lambda rows: progress.show(rows, invalid=survey.invalid),
            )  # fmt: skip
        self._sendable(survey)
        return digests

    async def _whoami(self, line: Line, settings: Settings) -> CurrentUser:
        from importer.address import check_host

        user = await line.tenant.current_user()
        wrong = check_host(settings.base_url, user.api_host)
        if wrong is not None:
            raise wrong
        return user

    def _batch(
        self, batch: str, settings: Settings, user: CurrentUser, survey: Survey, digests: Digests
    ) -> Batch:
        from importer.journal.journal import Batch
        from importer.sending.engine import tenant_name

        sheet = self.sheet
        return Batch(
            id=batch,
            created_at=_iso(self.now),
            tenant=tenant_name(settings.base_url, user, rehearsal=self.wishes.sandbox),
            host=settings.base_url,
            organisation=user.organisation,
            user=user.name,
            rehearsal=self.wishes.sandbox,
            source=str(sheet.path.absolute()),
            family=sheet.family,
            sheet=sheet.name,
            header=sheet.header,
            header_row=sheet.header_row,
            delimiter=sheet.delimiter,
            encoding=sheet.encoding,
            hidden=sheet.how.hidden,
            mapping=self.plan.record(),
            content=digests.content,
            source_cells=digests.source_cells,
            rows=survey.rows,
            skip_invalid=self.wishes.skip_invalid,
            results=str(self.results),
            marker=self.plan.marker,
        )


@contextmanager
def _drafting(journals: Path, batch: str) -> Iterator[JournalDraft]:
    """A draft that is gone at the end, unless it was published."""
    from importer.journal.draft import JournalDraft

    try:
        draft = JournalDraft(journals, batch)
    except BaseException:  # Ctrl-C in the very moment
        for left in journals.glob(f"{batch}.*"):
            left.unlink(missing_ok=True)
        raise
    try:
        yield draft
    finally:
        draft.discard()


def _iso(moment: datetime) -> str:
    from importer.journal.writer import iso

    return iso(moment.timestamp())
