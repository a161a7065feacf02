"""What `check` says of a sheet, as lines of 80 columns; `run` shows the same findings before it asks.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from importer.activity import Activity
from importer.app.records import CheckReport, EarlierImport, FirstRows
from importer.checking.findings import WHOLE_COLUMN, Finding
from importer.sheets.rows import column_letters
from importer.text import shown
from importer.wording import SCREEN_COLUMNS, be, count, expected, local_time, pad, shorten, width, wrap

GROUPS_SHOWN: Final = 60
VALUE_COLUMNS: Final = 24
_LOOKED_UP: Final = "lookup:"


def whole(report: CheckReport) -> list[str]:
    """Everything."""
    found = report.findings
    lines = [
        *summary(report),
        *imported_before(report.imported_before),
        *problems(found.problems),
        *questions(found.questions),
        *notices(found.notices),
        *preview(report.first),
    ]
    if not report.looked_up:
        lines += ["", "Accounts and users are looked up when the sheet is sent; --online does it now."]
    return lines


def summary(report: CheckReport) -> list[str]:
    """Sheet, rows, valid, invalid, and how long sending takes."""
    counts = f"{count(report.rows, 'row')}: {report.valid:,} valid, {report.invalid:,} invalid."
    lines = [report.place, f"  {counts}"]
    if report.valid:
        rows = "the valid row" if report.valid == 1 else "the valid rows"
        lines.append(f"  Sending {rows} takes {expected(report.seconds)} at {report.rate}.")
    return lines


def imported_before(earlier: Sequence[EarlierImport]) -> list[str]:
    """Which batches have this sheet, or some of its rows."""
    lines = []
    for one in earlier:
        what = "This sheet" if one.whole else f"{count(one.rows, 'row')} of this sheet"
        verb = "was" if one.whole else "is" if one.rows == 1 else "are"
        how = "imported before" if one.whole else "in an earlier batch"
        text = f"{what} {verb} {how}: {one.batch}, {shown(one.source)}, {local_time(one.created_at)}"
        open_rows = (
            f" ({count(one.open_rows, 'row')} {be(one.open_rows)} not finished)" if one.open_rows else ""
        )
        lines += wrap(f"  {text}{open_rows}.", indent="    ")
    return ["", *lines] if lines else []


def problems(found: Sequence[Finding]) -> list[str]:
    """The problems, column by column."""
    return ["", "Problems (rows that have one are not sent):", *_groups(found)] if found else []


def questions(found: Sequence[Finding]) -> list[str]:
    """What can be read in two ways, each with the option that accepts it."""
    if not found:
        return []
    lines = ["", "Questions (nothing is sent until each is settled):"]
    for one in found:
        lines += _groups([one])
        if one.kind != "hidden-rows":
            lines.append(f"      If it is fine as it is: --accept {one.kind}")
    return lines


def notices(found: Sequence[Finding]) -> list[str]:
    """What will arrive other than it looks."""
    return ["", "Worth a look (these rows are valid):", *_groups(found)] if found else []


def preview(first: FirstRows) -> list[str]:
    """The first activities: the sheet's column beside the field that it fills."""
    if not first.rows:
        return []
    headings = ("From", "Field", *(f"Row {number}" for number, _ in first.rows))
    table = [headings]
    values = [_values(activity) for _, activity in first.rows]
    for source in first.sources:
        cells = (_cell(each.get(source.schema_name), source.type) for each in values)
        table.append((shown(source.source), source.schema_name, *cells))
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
    begin = shown(group.example)[:VALUE_COLUMNS]
    beside = "" if begin in shown(group.message, 2_000) else shorten(group.example, VALUE_COLUMNS)
    value = f" The cell shows {beside!r}." if beside else ""
    cells = f"{group.cells_text()}: " if group.rows != (WHOLE_COLUMN,) else ""
    message, remedy = shown(group.message, 2_000), shown(group.remedy, 2_000)
    yield from wrap(f"    {cells}{message}{value}", indent="      ", whole_words=False)
    if remedy:
        yield from wrap(f"      {remedy}", indent="      ", whole_words=False)
    others = [f"{group.cell(each.row)} {shorten(each.value, VALUE_COLUMNS)!r}" for each in group.others]
    if others:
        yield from wrap(f"      Likewise {', '.join(others)}.", indent="      ", whole_words=False)


def _values(activity: Activity) -> dict[str, str]:
    values = {"RelatedCompanyId": activity.company_id, "ActivityEvent": str(activity.event)}
    if activity.note is not None:
        values["ActivityNote"] = activity.note
    return {**values, **dict(activity.fields)}


def _cell(value: str | None, kind: str) -> str:
    if value is None:
        return "(not sent)"
    if value.startswith(_LOOKED_UP):
        return f"({kind} {value.split(':', 2)[-1]})"
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
