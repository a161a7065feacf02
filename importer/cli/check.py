"""`importer check`: read and map every row; nothing is sent."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import Progress

if TYPE_CHECKING:
    from importer.checking.marked_sheet import MarkedSheet
    from importer.checking.survey import Survey
    from importer.mapping.mapping import Resolved, RowMapper
    from importer.sheets import Sheet
    from importer.staging import Asked

SHOW_EVERY_ROWS: Final = 1_000


def check(
    console: Console,
    *,
    source: options.Source,
    mapping: options.MappingFile,
    sheet: options.SheetName = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    hidden: options.Hidden = None,
    accept: options.Accept = None,
    report: options.ReportPath = None,
    online: options.Online = False,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    rate: options.RateLimit = None,
) -> int:
    """Read and map every row of a sheet, and say what is wrong with it. Nothing is sent.

    Exit code 0: every row is valid and no question is open; 1: there are invalid rows or open questions;
    2: the sheet or the mapping cannot be used.

    \b
    Examples:
      importer check visits.csv -m visits.yaml
      importer check calls.xlsx -m calls.yaml --sheet October
      importer check visits.csv -m visits.yaml --report visits-marked.xlsx
      importer check visits.csv -m visits.yaml --online
    """
    from importer.checking.survey import Survey
    from importer.cli import check_report
    from importer.cli.reading import no_rows, open_source, sheet_options
    from importer.mapping.mapping import load_mapping
    from importer.settings import load_rate

    pace = load_rate(rate)
    plan = load_mapping(mapping)
    how = sheet_options(plan, sheet=sheet, encoding=encoding, delimiter=delimiter, hidden=hidden)
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source, how))
        mapper = plan.bind(opened.header)
        marked = _marked(stack, report, opened, mapping)
        resolved = None
        if online and mapper.needs_lookups:
            import asyncio

            asked = _questions(console, opened, mapper)
            resolved = asyncio.run(_answers(console, asked, host, rate, sandbox=sandbox))
        survey = Survey(mapper, plan.accept | options.accepted(accept))
        _take_rows(console, opened, mapper, survey, marked=marked, resolved=resolved)
        if survey.rows == 0:
            raise no_rows(opened)
        if marked is not None:
            marked.finish(survey)
    summary = check_report.summary(survey, opened.place(), pace)
    _tell(console, survey, mapper, summary, online=online)
    if report is not None:
        console.say(f"The marked copy is {report}.")
    return 1 if survey.invalid or survey.questions else 0


def _questions(console: Console, sheet: Sheet, mapper: RowMapper) -> Asked:
    """What the sheet asks to be looked up: by lookup, each distinct value as it was first written."""
    asked: Asked = {}
    with Progress(console, "Reading") as progress:
        for count, row in enumerate(sheet.rows(), 1):
            for lookup, value in mapper.lookup_values(row):
                asked.setdefault(lookup, {}).setdefault(lookup.key(value), value)
            if count % SHOW_EVERY_ROWS == 0:
                progress.show(count)
    return asked


async def _answers(
    console: Console, asked: Asked, host: str | None, rate: str | None, *, sandbox: bool
) -> Resolved:
    """What LeadSquared (or the embedded sandbox, which knows everybody who is asked for) says to them."""
    from importer.cli.connection import connected
    from importer.cli.line import rehearsing
    from importer.cli.looking_up import looked_up
    from importer.settings import load_settings

    async with AsyncExitStack() as stack:
        if sandbox:
            settings = await stack.enter_async_context(rehearsing("sandbox-check", rate, asked))
        else:
            settings = load_settings(host=host, rate=rate)
        tenant = await stack.enter_async_context(connected(settings))
        return await looked_up(console, tenant, asked)


def _take_rows(
    console: Console,
    sheet: Sheet,
    mapper: RowMapper,
    survey: Survey,
    *,
    marked: MarkedSheet | None,
    resolved: Resolved | None,
) -> None:
    """Every row, read and mapped once."""
    from importer.activity import Activity

    take, map_row = survey.take, mapper.map
    with Progress(console, "Reading") as progress:
        for row in sheet.rows():
            mapped = map_row(row, resolved)
            take(row, mapped)
            if marked is not None:
                marked.write(row, () if isinstance(mapped, Activity) else mapped)
            if survey.rows % SHOW_EVERY_ROWS == 0:
                progress.show(survey.rows, invalid=survey.invalid)
    survey.close(sheet)


def _marked(stack: ExitStack, report: Path | None, sheet: Sheet, mapping: Path) -> MarkedSheet | None:
    if report is None:
        return None
    from importer.checking.marked_sheet import MarkedSheet

    return stack.enter_context(MarkedSheet(report, sheet, keep=(sheet.path, mapping)))


def _tell(
    console: Console,
    survey: Survey,
    mapper: RowMapper,
    summary: list[str],
    *,
    online: bool,
) -> None:
    from importer.cli import check_report

    lines = [
        *summary,
        *check_report.problems(survey),
        *check_report.questions(survey),
        *check_report.notices(survey),
        *check_report.preview(survey, mapper.describe()),
    ]
    if mapper.needs_lookups and not online:
        lines += ["", "Accounts and users are looked up when the sheet is sent; --online does it now."]
    console.result(
        "\n".join(lines),
        {
            "rows": survey.rows,
            "valid": survey.valid,
            "invalid": survey.invalid,
            "problems": [found.as_json() for found in survey.problems.all()],
            "questions": [found.as_json() for found in survey.questions.all()],
            "notices": [found.as_json() for found in survey.notices.all()],
        },
    )
