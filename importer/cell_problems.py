"""What can be wrong, or worth knowing, with a cell: the second half of the catalogue (see `remedies.py`).

The messages of a row say it of that row's value; these say it of the kind, for headings and README.
"""

from __future__ import annotations

from typing import Final

CELL_PROBLEMS: Final = (
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
        'Say `decimal: "."` or `decimal: ","` in the mapping.',
    ),
    (
        "decimal-mark",
        "The number does not have the mapping's decimal mark.",
        "Change `decimal` in the mapping if the whole column is written so.",
    ),
    (
        "percent",
        "With a percent sign 25 may mean 25 or 0.25.",
        "Write the number as it is to be stored.",
    ),
    ("rounded", "Excel shows fewer digits than it stores; all of them are sent.", "Round it in the sheet."),
    ("currency", "A currency stands beside the number.", "Write the number alone."),
    (
        "shortened-number",
        "Excel cut a long number short (1.2E+19); its digits are lost.",
        "Export again from the origin, with the column formatted as text.",
    ),
    (
        "not-yes-or-no",
        "The value is neither yes nor no.",
        "Write yes or no, or say in `values` what it means.",
    ),
    (
        "not-a-date",
        "The value is no date in the mapping's format.",
        "Correct it, or add its shape to `format` in the mapping.",
    ),
    ("no-such-date", "The date does not exist.", "Correct it; day and month may be the other way round."),
    (
        "no-such-time",
        "The clocks went forward over this time.",
        "Correct the time, or `timezone` in the mapping.",
    ),
    (
        "ambiguous-time",
        "The time comes twice: the clocks went back that day.",
        "Write the offset from UTC behind it, and %z in `format`.",
    ),
    ("day-or-month", "Day and month could be swapped.", "Compare one of them with its source."),
    ("far-off-date", "The year is unlikely.", "Check it."),
    (
        "date-as-text",
        "A date goes into a text field.",
        "Give the field `type: date` if it is one in LeadSquared.",
    ),
    ("time-dropped", "A time of day is not sent.", "Use `type: datetime` if it matters."),
    (
        "not-an-id",
        "The value is not a LeadSquared Id.",
        "Use the column that holds the Ids, or a `lookup`.",
    ),
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
        "lost-characters",
        "Characters were lost before the sheet came here.",
        "Export it again from its origin.",
    ),
    (
        "unusable-cell",
        "The cell holds an error (#N/A) or a formula without a value.",
        "Correct the formula, or save the workbook once in Excel.",
    ),
    (
        "unreadable-row",
        "The row has content beyond the last heading.",
        "Check it for a delimiter inside of a text that is not quoted.",
    ),
    ("not-found", "LeadSquared has nobody with this value.", "Correct the cell, or add it in LeadSquared."),
    ("found-twice", "Several users or accounts have this value.", "Make it unique in LeadSquared."),
    ("inactive", "The user is inactive in LeadSquared.", "Activate the user, or write an active one."),
    ("not-looked-up", "The value was not looked up.", "Run it again."),
)
"""(kind, meaning, what to do)."""
