"""What `check` says of a sheet, as lines of 80 columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from importer.activity import Activity
from importer.checking.findings import WHOLE_COLUMN, Finding
from importer.checking.survey import Survey
from importer.cli.wording import SCREEN_COLUMNS, count, duration, one_line, pad, shorten, width, wrap
from importer.sheets.rows import column_letters

if TYPE_CHECKING:
    from importer.mapping.mapping import Preview
    from importer.pacing.pacing import Rate

SPACING_MARGIN: Final = 1.03
GROUPS_SHOWN: Final = 60
VALUE_COLUMNS: Final = 24
_LOOKED_UP: Final = "lookup:"


def summary(survey: Survey, place: str, rate: Rate) -> list[str]:
    """Sheet, rows, valid, invalid, and how long sending takes."""
    counts = f"{count(survey.rows, 'row')}: {survey.valid:,} valid, {survey.invalid:,} invalid."
    lines = [place, f"  {counts}"]
    if survey.valid:
        seconds = survey.valid * rate.period_s / rate.calls * SPACING_MARGIN
        rows = "the valid row" if survey.valid == 1 else "the valid rows"
        takes = duration(seconds) if seconds < 1 else f"about {duration(seconds)}"
        lines.append(f"  Sending {rows} takes {takes} at {_spoken(rate)}.")
    return lines


def problems(survey: Survey) -> list[str]:
    """The problems, column by column."""
    if not survey.problems:
        return []
    return ["", "Problems (rows that have one are not sent):", *_groups(survey.problems.all())]


def questions(survey: Survey) -> list[str]:
    """What can be read in two ways, each with the option that accepts it."""
    if not survey.questions:
        return []
    lines = ["", "Questions (nothing is sent until each is settled):"]
    for found in survey.questions.all():
        lines += _groups([found])
        lines.append(f"      If it is fine as it is: --accept {found.kind}")
    return lines


def notices(survey: Survey) -> list[str]:
    """What will arrive other than it looks."""
    if not survey.notices:
        return []
    return ["", "Worth a look (these rows are valid):", *_groups(survey.notices.all())]


def preview(survey: Survey, sources: Sequence[Preview]) -> list[str]:
    """The first activities: the sheet's column beside the field that it fills."""
    if not survey.first:
        return []
    headings = ("From", "Field", *(f"Row {number}" for number, _ in survey.first))
    table = [headings]
    values = [_values(activity) for _, activity in survey.first]
    for source in sources:
        cells = (_shown(each.get(source.schema_name), source.type) for each in values)
        table.append((one_line(source.source), source.schema_name, *cells))
    return ["", "What is sent, first rows:", *_laid_out(table)]


def _spoken(rate: Rate) -> str:
    return f"{count(rate.calls, 'call')} in {rate.period_s:g} seconds"


def _groups(groups: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    column: str | None = ""
    for group in groups[:GROUPS_SHOWN]:
        if group.column != column or not lines:
            column = group.column
            lines += ["", _heading(group)]
        lines += _group(group)
    if len(groups) > GROUPS_SHOWN:
        lines += [
            "",
            f"  … and {count(len(groups) - GROUPS_SHOWN, 'more kind')} of problem in other columns.",
        ]
    return lines


def _heading(group: Finding) -> str:
    if group.column is None or group.index is None:
        return "  The sheet" if group.rows == (WHOLE_COLUMN,) else "  Whole rows"
    return f"  {shorten(group.column, 60)} (column {column_letters(group.index)})"


def _group(group: Finding) -> Iterator[str]:
    # Most messages quote the value; where one does not, it is shown beside.
    begin = one_line(group.example)[:VALUE_COLUMNS]
    shown = "" if begin in one_line(group.message) else shorten(group.example, VALUE_COLUMNS)
    value = f" The cell shows {shown!r}." if shown else ""
    cells = f"{group.cells_text()}: " if group.rows != (WHOLE_COLUMN,) else ""
    yield from wrap(f"    {cells}{one_line(group.message)}{value}", indent="      ", whole_words=False)
    if group.remedy:
        yield from wrap(f"      {one_line(group.remedy)}", indent="      ", whole_words=False)
    others = [f"{group.cell(each.row)} {shorten(each.value, VALUE_COLUMNS)!r}" for each in group.others]
    if others:
        yield from wrap(f"      Likewise {', '.join(others)}.", indent="      ", whole_words=False)


def _values(activity: Activity) -> dict[str, str]:
    values = {"RelatedCompanyId": activity.company_id, "ActivityEvent": str(activity.event)}
    if activity.note is not None:
        values["ActivityNote"] = activity.note
    return {**values, **dict(activity.fields)}


def _shown(value: str | None, kind: str) -> str:
    if value is None:
        return "(not sent)"
    if value.startswith(_LOOKED_UP):
        return f"({kind} {value.split(':', 2)[-1]})"
    return one_line(value) if value else "(empty)"


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
