"""What is found in a sheet: one type for the rooms that read, map and check it.

A sheet (`sheets/`) finds what the file shows: the shape of its records, damage left by other programs. The
mapping (`mapping/`) finds what a cell means for its field. Checking groups both for people and for `--json`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

VALUE_SHOWN_MAX: Final = 200
"""Characters of a cell that a finding keeps."""


class Severity(enum.StrEnum):
    """What a finding means for the import (design: reading and findings)."""

    PROBLEM = "problem"
    """This row cannot be sent as it is."""
    QUESTION = "question"
    """The sheet can be read in two ways and only a person knows: nothing is sent until it is settled."""
    NOTICE = "notice"
    """The row is sent, but may look different from what the person expects."""


@dataclass(frozen=True, slots=True)
class CellFinding:
    """One finding, of one cell or of a row as a whole.

    column: its heading, None if it is no single column. index: the column's place from 0, None for a row.
    kind: a stable name for grouping, one of `KINDS`. value: what the cell shows, cut to 200
    characters. message, remedy: full sentences; a question's remedy names the mapping key that settles it.
    """

    severity: Severity
    column: str | None
    index: int | None
    kind: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        head = f"{self.column}: " if self.column else ""
        return f"{head}{self.message} {self.remedy}".rstrip()


_PROBLEMS: Final = (
    ("missing", "A required cell is empty.", "Fill it in, or give the field a `default` in the mapping."),
    (
        "not-listed",
        "The value is not one of those that the mapping allows.",
        "Correct it in the sheet, or add it to `one_of` or `values` in the mapping.",
    ),
    ("not-a-number", "The value is not a number.", "Write digits only, with one decimal mark."),
    ("not-whole", "The value is not a whole number.", "Write it without decimals."),
    (
        "ambiguous-number",
        "A comma or point may be a decimal mark or group thousands.",
        'Set `decimal: "."` or `decimal: ","` in the mapping.',
    ),
    (
        "decimal-mark",
        "The number does not have the mapping's decimal mark.",
        "Change `decimal` in the mapping if the whole column is written so.",
    ),
    ("percent", "With a percent sign 25 may mean 25 or 0.25.", "Write the number as it is to be stored."),
    (
        "currency",
        "The cell holds a currency beside the number.",
        "Set `currency: true` in the mapping, or write the number alone.",
    ),
    (
        "shortened-number",
        "Excel cut a long number short (1.2E+19); its digits are lost.",
        "Export again from the origin, with the column formatted as text.",
    ),
    (
        "not-yes-or-no",
        "The value is neither yes nor no.",
        "Write yes or no, or use `values` to define what it means.",
    ),
    (
        "not-a-date",
        "The value is not a date in the mapping's format.",
        "Correct it, or add its form to `format` in the mapping.",
    ),
    ("no-such-date", "The date or time does not exist.", "Correct it."),
    (
        "no-such-time",
        "The clocks went forward over this time.",
        "Correct the time, or `timezone` in the mapping.",
    ),
    (
        "ambiguous-time",
        "The time occurs twice: the clocks went back that day.",
        "Write the offset from UTC after it, and %z in `format`.",
    ),
    ("not-an-id", "The value is not a LeadSquared Id.", "Use the column that holds the Ids, or a `lookup`."),
    (
        "not-an-activity-type",
        "The value is not the code of an activity type.",
        "LeadSquared lists them in Settings > Accounts Customization; `values` turns names into codes.",
    ),
    ("too-long", "The text is longer than the field allows.", "Shorten it."),
    (
        "control-character",
        "The text holds an invisible character that cannot be sent.",
        "Delete it; if many rows have one, check `--encoding`.",
    ),
    (
        "unusable-cell",
        "The cell holds an error (#N/A), a formula without a value, or a value that was damaged.",
        "Correct the cell, or save the workbook once in Excel.",
    ),
    (
        "unreadable-row",
        "The row cannot be read as one record: its cells do not fit the headings.",
        "Look for a delimiter or quotation mark in a text that is not quoted.",
    ),
    (
        "total-row",
        "The row looks like a total, not like a record.",
        "Delete it, or use --skip-invalid to leave it out.",
    ),
    (
        "repeated-headings",
        "The row repeats the headings.",
        "Delete it, or use --skip-invalid to leave it out.",
    ),
    (
        "footer-row",
        "The row looks like a title or footer of a report.",
        "Delete it, or use --skip-invalid to leave it out.",
    ),
    ("not-found", "No match in LeadSquared for this value.", "Correct the cell, or add it in LeadSquared."),
    ("found-twice", "Several users or accounts have this value.", "Make it unique in LeadSquared."),
    ("inactive", "The user is inactive in LeadSquared.", "Activate the user, or write an active one."),
    ("not-looked-up", "The value was not looked up.", "Run it again."),
)

_QUESTIONS: Final = (
    (
        "decimal-or-thousands",
        "Every point in a number column has three digits after it: 1.500 is 1.5 or 1500.",
        'Set `decimal: "."` (1.5) or `decimal: ","` (1500) in the mapping.',
    ),
    (
        "mixed-dates",
        "A column holds dates in two orders: in some of them day and month may be exchanged.",
        "Compare the cells with their source and correct them in the sheet.",
    ),
    (
        "mixed-currencies",
        "A column holds amounts in several currencies, and only the numbers are sent.",
        "Put the amounts of each currency into a column of their own.",
    ),
    (
        "hidden-rows",
        "Rows are hidden in the workbook, by a filter or by hand.",
        "Use `--hidden include` to send them, or `--hidden skip` to leave them out.",
    ),
    (
        "rows-swallowed",
        "A quoted cell of a text file holds lines that look like rows of the table.",
        "Write the quotation mark that begins it twice, or export the sheet again.",
    ),
    (
        "not-recalculated",
        "A formula in a workbook that asks to be calculated on opening: its stored value may be wrong.",
        "Open the workbook in Excel and save it.",
    ),
)

_NOTICES: Final = (
    (
        "shown-as-percent",
        "Excel shows a percentage; the stored number is sent.",
        "Use a column without the percent format if the percentage is to be stored.",
    ),
    (
        "shown-with-currency",
        "Excel shows a currency; the number alone is sent.",
        "Map the currency from a column of its own.",
    ),
    (
        "shown-rounded",
        "Excel shows fewer digits than it stores; all of them are sent.",
        "Round it in the sheet.",
    ),
    ("day-or-month", "Day and month could be exchanged.", "Compare one of them with its source."),
    ("far-off-date", "The year is unlikely.", "Check it."),
    ("unusual-year", "The year is far from the years of the other cells in the column.", "Check it."),
    (
        "date-as-text",
        "A date goes into a text field.",
        "Give the field `type: date` if it is one in LeadSquared.",
    ),
    ("time-dropped", "A time of day is not sent.", "Use `type: datetime` if it matters."),
    (
        "lost-characters",
        "Characters were lost before the sheet came here.",
        "Export it again from its origin.",
    ),
    (
        "long-note",
        "The note is longer than 200 characters, which LeadSquared may cut off.",
        "Send one row with `--canary 1` first: it is read back and compared.",
    ),
    (
        "note-markup",
        "The note holds markup that LeadSquared interprets: {next}, {=} or {keyvalueinfo}.",
        "Remove it unless it is meant.",
    ),
    ("same-activity", "Rows would create the same activity.", "Delete the repetition if it is not meant."),
    (
        "number-format",
        "Excel shows the number in another way (fractions, conditions); the number is sent.",
        "Put what Excel shows into a column as text, if the field needs it.",
    ),
    (
        "unseen-value",
        "A number format such as `;;;` hides the value; it is sent.",
        "Give the cell another format to see it, or empty it.",
    ),
    (
        "only-checkboxes",
        "Below the data there is nothing but FALSE in a checkbox column, or formulas: these are not rows.",
        "If they are, fill in their other cells.",
    ),
    ("text-formula", 'A text guarded for Excel, `="00417"`, is sent as 00417.', "Nothing needs to be done."),
    (
        "crossed-out",
        "A part of the cell's text is crossed out in the workbook; it is sent like the rest.",
        "Delete what does not count.",
    ),
    (
        "code-as-date",
        "A date such as 03-Apr among codes such as 3-14: Excel may have made it of a code.",
        "Compare it with its source.",
    ),
    (
        "formula",
        "A text file holds a formula, which is sent as it is written.",
        "Save the sheet as CSV from the spreadsheet program, which writes the results.",
    ),
    (
        "vertical-tab",
        "A line break of FileMaker or Word (U+000B) is sent as a usual one.",
        "Nothing needs to be done.",
    ),
    (
        "guarding-apostrophe",
        "An apostrophe before a number, which Excel does not show, is sent.",
        "Delete it if it does not belong to the value.",
    ),
    (
        "database-null",
        "The cell holds NULL, \\N or the like, which databases write for nothing.",
        'Translate it in `values` (`NULL: ""`), or empty the cells.',
    ),
    (
        "point-zero",
        "Every number of the column ends in .0: a tool may have added it.",
        "Export the column as text if its codes have no decimals.",
    ),
    (
        "wrong-encoding",
        "The text was read in a wrong encoding and saved (`Ã¼` for ü).",
        "Export the sheet again from its origin as CSV UTF-8.",
    ),
    (
        "unknown-field",
        "The activity type has no field of this schema name, as far as LeadSquared says.",
        "Compare it with the activity type in Settings > Accounts Customization.",
    ),
    (
        "required-field",
        "The activity type requires a field that the mapping does not fill, as far as LeadSquared says.",
        "Add the field to the mapping.",
    ),
    (
        "not-an-option",
        "The value is not among the options of the field in LeadSquared.",
        "Correct it, or translate it with `values` in the mapping.",
    ),
    ("about-the-sheet", "Something about the sheet as a whole.", "Read the message."),
)

KINDS: Final = {
    kind: (severity, meaning, action)
    for severity, entries in zip(Severity, (_PROBLEMS, _QUESTIONS, _NOTICES), strict=True)
    for kind, meaning, action in entries
}
"""By kind: severity, what was found, what to do (full sentences, one line each). README shows it as a table.
A question that was accepted appears as a notice."""

QUESTIONS: Final = tuple(kind for kind, _, _ in _QUESTIONS)
"""The kinds that `accept` in a mapping and `--accept` can name."""
