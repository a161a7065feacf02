"""What `check` says of a sheet, as lines of 80 columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from importer.activity import Activity
from importer.checking.findings import Group
from importer.checking.survey import Survey
from importer.cli.wording import SCREEN_COLUMNS, count, duration, one_line, pad, shorten, width, wrap
from importer.sheets.rows import column_letters

if TYPE_CHECKING:
    from importer.mapping.mapping import Preview
    from importer.pacing.pacing import Rate

SPACING_MARGIN: Final = 1.03
GROUPS_SHOWN: Final = 60
TWINS_SHOWN: Final = 5
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
    return ["", "Problems (rows that have one are not sent):", *_groups(survey.problems.groups())]


def warnings(survey: Survey, said: Sequence[str]) -> list[str]:
    """What will arrive other than it looks. said: what the sheet itself has to say."""
    lines = [line for text in said for line in wrap(f"  {text}", indent="    ", whole_words=False)]
    lines += _twins(survey)
    lines += _groups(survey.notices.groups())
    return ["", "Worth a look (these rows are valid):", *lines] if lines else []


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


def _groups(groups: Sequence[Group]) -> list[str]:
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


def _heading(group: Group) -> str:
    if group.column is None or group.index is None:
        return "  Whole rows"
    return f"  {shorten(group.column, 60)} (column {column_letters(group.index)})"


def _group(group: Group) -> Iterator[str]:
    first = group.examples[0]
    # Most messages quote the value; where one does not, it is shown beside.
    begin = one_line(first.value)[:VALUE_COLUMNS]
    shown = "" if begin in one_line(first.message) else shorten(first.value, VALUE_COLUMNS)
    value = f" The cell shows {shown!r}." if shown else ""
    yield from wrap(
        f"    {group.cells()}: {one_line(first.message)}{value}", indent="      ", whole_words=False
    )
    if first.remedy:
        yield from wrap(f"      {one_line(first.remedy)}", indent="      ", whole_words=False)
    others = [f"{group.cell(each.row)} {shorten(each.value, VALUE_COLUMNS)!r}" for each in group.examples[1:]]
    if others:
        yield from wrap(f"      Likewise {', '.join(others)}.", indent="      ", whole_words=False)


def _twins(survey: Survey) -> Iterator[str]:
    surplus, groups = survey.twins.groups()
    if not surplus:
        return
    said = "; ".join(" and ".join(f"{row}" for row in rows[:3]) for rows in groups[:TWINS_SHOWN])
    more = " …" if len(groups) > TWINS_SHOWN or any(len(rows) > 3 for rows in groups) else ""
    rows = "1 row repeats" if surplus == 1 else f"{surplus:,} rows repeat"
    text = (
        f"{rows} another one: the same activity would be created more than once (rows {said}{more}). "
        "Delete the repetition if it is not meant."
    )
    yield from wrap(f"  {text}", indent="    ", whole_words=False)
    if not survey.twins.complete:
        yield "  Only the first rows were compared with each other."


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
