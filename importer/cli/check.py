"""`importer check`: read and map every row; nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from importer.app.check_sheet import check as check_sheet
from importer.app.options import CheckOptions
from importer.app.records import CheckReport, FirstRows, SheetFindings
from importer.app.sheet_questions import HIDDEN_KIND
from importer.app.stores import open_store
from importer.checking.survey import WHOLE_COLUMN, Finding
from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import watched
from importer.mapping.choices import asked_for
from importer.sheets.rows import column_letters
from importer.store.records import ImportedBefore
from importer.text import SCREEN_COLUMNS, be, count, expected, local_time, pad, shorten, shown, width, wrap


def check(console: Console, *, asked: options.Check) -> int:
    """Read and map every row of a sheet, and report what is wrong with it.

    Nothing is sent. It also says whether the sheet, or some of its rows, were imported before.

    Exit codes: 0 if every row is valid and no question is open, 1 if not, 2 if the sheet or the mapping
    cannot be used.

    \b
    Examples:
      importer check visits.csv -m visits.yaml
      importer check calls.xlsx -m calls.yaml --sheet October
      importer check visits.csv -m visits.yaml --report visits-marked.xlsx
      importer check visits.csv -m visits.yaml --online
    """
    found = asyncio.run(_check(console, asked))
    console.result("\n".join(_whole(found)), found.as_json())
    if found.marked_copy is not None:
        console.say(f"The marked copy is {found.marked_copy}.")
    return found.exit_code


async def _check(console: Console, asked: CheckOptions) -> CheckReport:
    with watched(console) as (observer, _stop), open_store(create=False) as store:
        return await check_sheet(asked, store, observer)


GROUPS_SHOWN: Final = 60
VALUE_COLUMNS: Final = 24


def _whole(report: CheckReport) -> list[str]:
    """Everything."""
    lines = [
        *_summary(report),
        *_imported_before(report.imported_before),
        *findings_shown(report.findings),
        *_preview(report.first),
    ]
    if not report.looked_up:
        lines += ["", "Accounts and users are looked up when the sheet is sent; --online does it now."]
    return lines


def _summary(report: CheckReport) -> list[str]:
    """Sheet, rows, valid, invalid, and how long sending takes."""
    counts = f"{count(report.rows, 'row')}: {report.valid:,} valid, {report.invalid:,} invalid."
    lines = [report.place, f"  {counts}"]
    if report.valid:
        rows = "the valid row" if report.valid == 1 else "the valid rows"
        lines.append(f"  Sending {rows} takes {expected(report.seconds)} at {report.rate}.")
    return lines


def _imported_before(earlier: Sequence[ImportedBefore]) -> list[str]:
    """Which batches have this sheet, or some of its rows."""
    lines = []
    for one in earlier:
        what = "This sheet" if one.whole else f"{count(one.rows, 'row')} of this sheet"
        verb = "was" if one.whole else "is" if one.rows == 1 else "are"
        how = "imported before" if one.whole else "in an earlier batch"
        batch, left = one.summary.batch, one.summary.open_rows
        text = f"{what} {verb} {how}: {batch.id}, {shown(batch.source_name)}, {local_time(batch.created_at)}"
        open_rows = f" ({count(left, 'row')} {be(left)} not finished)" if left else ""
        lines += wrap(f"  {text}{open_rows}.", indent="    ")
    return ["", *lines] if lines else []


def findings_shown(found: SheetFindings) -> list[str]:
    """Problems, questions and notices, column by column; `run` shows the same before it asks."""
    return [
        *_titled("Problems (rows that have one are not sent):", found.problems),
        *_questions(found.questions),
        *_titled("Worth a look (these rows are valid):", found.notices),
    ]


def _titled(title: str, found: Sequence[Finding]) -> list[str]:
    return ["", title, *_groups(found)] if found else []


def _questions(found: Sequence[Finding]) -> list[str]:
    """What can be read in two ways, each with the option that accepts it."""
    if not found:
        return []
    lines = ["", "Questions (nothing is sent until each is settled):"]
    for one in found:
        lines += _groups([one])
        if one.kind != HIDDEN_KIND:
            lines.append(f"      If it is fine as it is: --accept {one.kind}")
    return lines


def _preview(first: FirstRows) -> list[str]:
    """The first activities: the sheet's column beside the field that it fills."""
    if not first.rows:
        return []
    headings = ("From", "Field", *(f"Row {number}" for number, _ in first.rows))
    table = [headings]
    values = [activity.parts() for _, activity in first.rows]
    for source in first.sources:
        cells = (_cell(each.get(source.name), source.type_name) for each in values)
        table.append((shown(source.source), source.name, *cells))
    return ["", "What is sent, first rows:", *_laid_out(table)]


def _groups(groups: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    column: str | None = ""
    for group in groups[:GROUPS_SHOWN]:
        if group.column != column or not lines:
            column = group.column
            lines += ["", _heading(group)]
        lines += _group(group)
    if len(groups) > GROUPS_SHOWN:
        more = count(len(groups) - GROUPS_SHOWN, "more kind")
        lines += ["", f"  … and {more} of problem in other columns."]
    return lines


def _heading(group: Finding) -> str:
    if group.column is None or group.index is None:
        return "  The sheet" if group.rows == (WHOLE_COLUMN,) else "  Whole rows"
    return f"  {shorten(group.column, 60)} (column {column_letters(group.index)})"


def _group(group: Finding) -> Iterator[str]:
    # Most messages quote the value; where one does not, it is shown beside.
    begin = shown(group.value)[:VALUE_COLUMNS]
    beside = "" if begin in shown(group.message, 2_000) else shorten(group.value, VALUE_COLUMNS)
    value = f" The cell shows {beside!r}." if beside else ""
    cells = f"{group.cells_text()}: " if group.rows != (WHOLE_COLUMN,) else ""
    message, remedy = shown(group.message, 2_000), shown(group.remedy, 2_000)
    yield from wrap(f"    {cells}{message}{value}", indent="      ", whole_words=False)
    if remedy:
        yield from wrap(f"      {remedy}", indent="      ", whole_words=False)
    others = [f"{group.cell(each.row)} {shorten(each.value, VALUE_COLUMNS)!r}" for each in group.others]
    if others:
        yield from wrap(f"      Likewise {', '.join(others)}.", indent="      ", whole_words=False)


def _cell(value: str | None, kind: str) -> str:
    if value is None:
        return "(not sent)"
    if (asked := asked_for(value)) is not None:
        return f"({kind} {asked})"
    return shown(value) if value else "(empty)"


def _laid_out(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns below one another within the screen; what does not fit is cut, values before names."""
    columns = len(table[0])
    widths = [max(width(row[index]) for row in table) for index in range(columns)]
    room = SCREEN_COLUMNS - 2 - 2 * (columns - 1)
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    for row in table:
        cells = [pad(shorten(cell, size), size) for cell, size in zip(row, widths, strict=True)]
        yield ("  " + "  ".join(cells)).rstrip()
