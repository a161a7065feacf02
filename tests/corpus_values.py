"""The corpus's half about values, columns, dates and the mapping: a table, one line for each sheet."""

# ruff: noqa: E501

from __future__ import annotations

import datetime as dt
from typing import Final

from corpus import Trap

DATES: Final = '{column: Value, type: date, format: "%d/%m/%Y"}'
MONTHS: Final = '{column: Value, type: date, format: "%d %b %Y"}'
INSTANT: Final = "{column: Value, type: datetime, timezone: Asia/Kolkata}"
NUMBER: Final = "{column: Value, type: number}"
WHOLE: Final = "{column: Value, type: integer}"
MONEY: Final = "{column: Value, type: number, currency: true}"
CHOICE: Final = "{column: Value, one_of: [Won, Lost]}"
LIST: Final = "{column: Value, type: list, one_of: [Red, Green, Blue]}"
TWO_COLUMNS: Final = (
    '{template: "{Day} {Time}", type: datetime, format: "%d/%m/%Y %H:%M", timezone: Asia/Kolkata}'
)
_JULY: Final = dt.datetime(2026, 7, 5)  # noqa: DTZ001 - a cell has no zone
_FLAT: Final = "{column: Value, type: date}"

VALUES: Final = (
    # ---- numbers
    Trap("points group thousands", ["1.500", "12.000"], NUMBER, ("question decimal-or-thousands B2 B3",), ("1.500", "12.000")),
    Trap("one point has two digits after it", ["1.500", "12.00"], NUMBER, (), ("1.500", "12.00")),
    Trap("a number below one", ["1.500", "0.250"], NUMBER, (), ("1.500", "0.250")),
    Trap("commas group beside points", ["1.500", "2,500.125"], NUMBER, (), ("1.500", "2500.125")),
    Trap("decimal: , settles it", ["1.500", "12.000"], '{column: Value, type: number, decimal: ","}', (), ("1500", "12000")),
    Trap("accept settles it", ["1.500", "12.000"], NUMBER, ("notice decimal-or-thousands B2 B3",), ("1.500", "12.000"), top="accept: decimal-or-thousands\n"),
    Trap("a comma may be either", ["1,500"], NUMBER, ("problem ambiguous-number B2",), ("-",)),
    Trap("whole numbers grouped by points", ["1.000", "12.000", "7"], WHOLE, ("problem ambiguous-number B2 B3",), ("-", "-", "7")),
    Trap("whole numbers with .0", ["1.0", "12.00"], WHOLE, (), ("1", "12")),
    Trap("India's groups", ["12,75,000", "1,25,000.50"], NUMBER, (), ("1275000", "125000.50")),
    Trap("currencies where numbers are wanted", ["₹ 500", "12"], NUMBER, ("problem currency B2",), ("-", "12")),
    Trap("currencies allowed", ["₹ 12,75,000", "Rs. 1,250/-", "INR 20", "-Rs 5"], MONEY, (), ("1275000", "1250", "20", "-5")),
    Trap("amounts without cents", ["Fr. 5.-", "€ 12,-", "1.250,– €", "7,--"], '{column: Value, type: number, currency: true, decimal: ","}', ("question mixed-currencies B2",), ("5", "12", "1250", "7")),
    Trap("amounts without cents where numbers are wanted", ["12,-"], NUMBER, ("problem currency B2",), ("-",)),
    Trap("currencies of other countries", ["kr 5", "5 Kč", "5 zł", "500/-"], NUMBER, ("problem currency B2 B3 B4 B5",), ("-", "-", "-", "-")),
    Trap("currencies of other countries allowed", ["kr 5", "7 kr."], MONEY, (), ("5", "7")),
    Trap("two signs of the rupee", ["₨ 500", "Rs. 20", "₹ 5"], MONEY, (), ("500", "20", "5")),
    Trap("an amount in words is no currency to allow", ["₹5 lakh"], NUMBER, ("problem not-a-number B2",), ("-",)),
    Trap("two currencies in a column", ["₹ 500", "$ 20", "₹ 30"], MONEY, ("question mixed-currencies B3",), ("500", "20", "30")),
    Trap("a credit is no currency", ["1,234.50 Cr", "(500)", "500-"], MONEY, ("problem not-a-number B2 B3 B4",), ("-", "-", "-")),
    Trap("percent in text", ["5 %"], NUMBER, ("problem percent B2",), ("-",)),
    # ---- dates
    Trap("31 November", ["31/11/2026", "30/11/2026"], DATES, ("problem no-such-date B2",), ("-", "2026-11-30")),
    Trap("months first among days first", ["05/07/2026", "07/13/2026"], DATES, ("question mixed-dates B2", "problem no-such-date B3", "notice day-or-month B2"), ("2026-07-05", "-")),
    Trap("two formats, both orders", ["13/07/2026", "07/14/2026", "05/06/2026"], '{column: Value, type: date, format: ["%d/%m/%Y", "%m/%d/%Y"]}', ("question mixed-dates B4", "notice day-or-month B4"), ("2026-07-13", "2026-07-14", "2026-06-05")),
    Trap("date cells among texts of days above 12", [_JULY, "13/07/2026", "31/07/2026"], DATES, ("question mixed-dates B2",), ("2026-07-05", "2026-07-13", "2026-07-31"), workbook=True),
    Trap("date cells alone", [_JULY, dt.datetime(2026, 7, 13)], _FLAT, (), ("2026-07-05", "2026-07-13"), workbook=True),  # noqa: DTZ001
    Trap("date cells beside ISO texts", [_JULY, "2026-07-13"], _FLAT, (), ("2026-07-05", "2026-07-13"), workbook=True),
    Trap("a year far from the others", ["13/07/2026"] * 9 + ["14/07/2062"], DATES, ("notice unusual-year B11",), ("2026-07-13",) * 9 + ("2062-07-14",)),
    Trap("a year that nobody means", ["13/07/2206"], DATES, ("notice far-off-date B2",), ("2206-07-13",)),
    Trap("a stray 5, shown as a date", [dt.datetime(1900, 1, 5)], _FLAT, ("notice far-off-date B2",), ("1900-01-05",), workbook=True),  # noqa: DTZ001
    Trap("day or month", ["03/04/2026", "04/04/2026"], DATES, ("notice day-or-month B2",), ("2026-04-03", "2026-04-04")),
    Trap("birthdays are spread", [f"13/07/{year}" for year in range(1950, 2010, 6)], DATES, (), tuple(f"{year}-07-13" for year in range(1950, 2010, 6))),
    Trap("two digits of a year", ["31/07/29", "31/07/30"], '{column: Value, type: date, format: "%d/%m/%y"}', ("notice far-off-date B3",), ("2029-07-31", "1930-07-31")),
    Trap("dollars grouped by a comma", ["$ 1,250"], MONEY, ("problem ambiguous-number B2",), ("-",)),
    Trap("PostgreSQL's offsets", ["2026-07-31 10:00:00+00", "2026-07-31 10:00:00+05:30", "2026-07-31 10:00:00.123+02"], INSTANT, (), ("2026-07-31 10:00:00", "2026-07-31 04:30:00", "2026-07-31 08:00:00")),
    Trap("Z, UTC and +0530 for %z", ["2026-07-31 10:00:00Z", "2026-07-31 10:00:00 UTC", "2026-07-31 10:00:00+0530"], INSTANT, (), ("2026-07-31 10:00:00", "2026-07-31 10:00:00", "2026-07-31 04:30:00")),
    Trap("the offset of Google Forms", ["2026/07/31 2:05:33 PM GMT+5:30"], '{column: Value, type: datetime, format: "%Y/%m/%d %I:%M:%S %p GMT%z", timezone: UTC}', (), ("2026-07-31 08:35:33",)),
    Trap("fractions of seconds", ["2026-07-31 10:00:00.000"], '{column: Value, type: datetime, format: "%Y-%m-%d %H:%M:%S", timezone: UTC}', (), ("2026-07-31 10:00:00",)),
    Trap("French months", ["31 juil. 2026", "1 févr 2026", "3 mars 2026"], MONTHS.replace("}", ", locale: fr}"), (), ("2026-07-31", "2026-02-01", "2026-03-03")),
    Trap("German months, for the whole mapping", ["31 Okt 2026", "1 Mrz. 2026"], MONTHS, (), ("2026-10-31", "2026-03-01"), top="locale: de\n"),
    Trap("foreign months unannounced", ["31 juil. 2026"], MONTHS, ("problem not-a-date B2",), ("-",)),
    Trap("Hindi months", ["31 जुलाई 2026"], MONTHS, ("problem not-a-date B2",), ("-",)),
    Trap("Excel's number of a day", ["46234"], DATES, ("problem not-a-date B2",), ("-",)),
    Trap("seconds since 1970", ["1785499200"], INSTANT, ("problem not-a-date B2",), ("-",)),
    Trap("a browser's date", ["Fri Jul 31 2026 10:00:00 GMT+0530"], '{column: Value, type: datetime, format: "%a %b %d %Y %H:%M:%S GMT%z", timezone: UTC}', (), ("2026-07-31 04:30:00",)),
    Trap("a time in a date field", ["2026-07-31 10:00"], _FLAT, ("problem not-a-date B2",), ("-",)),
    # ---- a date and a time in two columns
    Trap("date and time", [("31/07/2026", "10:30"), ("8/8/2026", "9:05")], TWO_COLUMNS, (), ("2026-07-31 05:00:00", "2026-08-08 03:35:00"), ("Day", "Time")),
    Trap("a bad time is at its own cell", [("31/07/2026", "25:00"), ("31/11/2026", "10:30")], TWO_COLUMNS, ("problem no-such-date B3", "problem not-a-date C2"), ("-", "-"), ("Day", "Time")),
    Trap("a missing time", [("31/07/2026", ""), ("", "")], TWO_COLUMNS, ("problem missing C2",), ("-", ""), ("Day", "Time")),
    Trap("typed date and time cells", [(_JULY, dt.time(10, 30))], TWO_COLUMNS, (), ("2026-07-05 05:00:00",), ("Day", "Time"), workbook=True),
    Trap("the time first", [("31/07/2026", "10:30")], '{template: "{Time} {Day}", type: datetime, format: "%H:%M %d/%m/%Y", timezone: UTC}', (), ("2026-07-31 10:30:00",), ("Day", "Time")),
    Trap("words around date and time", [("31/07/2026", "10:30")], '{template: "on {Day} at {Time}", type: datetime, format: "on %d/%m/%Y at %H:%M", timezone: UTC}', (), ("2026-07-31 10:30:00",), ("Day", "Time")),
    Trap("day, month and year apart", [("5", "7", "2026")], '{template: "{D}/{M}/{Y}", type: date, format: "%d/%m/%Y"}', (), ("2026-07-05",), ("D", "M", "Y")),
    Trap("a zone in the cell of the time", [("31/07/2026", "10:30 +02")], '{template: "{Day} {Time}", type: datetime, format: "%d/%m/%Y %H:%M %z", timezone: UTC}', (), ("2026-07-31 08:30:00",), ("Day", "Time")),
    Trap("texts that group among number cells", [1500.0, "1.500", "12.000"], NUMBER, ("question decimal-or-thousands B3 B4",), ("1500", "1.500", "12.000"), workbook=True),
    Trap("codes that Excel made dates of", ["10-20", "02-Apr", "A-7", "Mar-01"], "Value", ("notice code-as-date B3 B5",), ("10-20", "02-Apr", "A-7", "Mar-01")),
    Trap("months, and days in notes", [("Jul-26", "02-Apr"), ("Aug-26", "10-15 days")], "Value", (), ("Jul-26", "Aug-26"), ("Value", "Other")),
    # ---- words and lists
    Trap("another case and composition", ["won", "LOST"], CHOICE, (), ("Won", "Lost")),
    Trap("a misspelling", ["Wno"], CHOICE, ("problem not-listed B2",), ("-",)),
    Trap("items of a list", ["Red; Blue", "green;", "Red;Pink"], LIST, ("problem not-listed B4",), ("Red;Blue", "Green", "-")),
    Trap("another separator", ["Red, Blue"], LIST.replace("list,", 'list, separator: ",",'), (), ("Red;Blue",)),
    Trap("the wrong separator", ["Red, Blue"], LIST, ("problem not-listed B2",), ("-",)),
    Trap("items translated", ["R/G"], '{column: Value, type: list, separator: "/", join: ",", values: {R: Red, G: Green}}', (), ("Red,Green",)),
    # ---- notes
    Trap("a long note", ["x" * 201, "x" * 200], "note Value", ("notice long-note B2",), ("x" * 201, "x" * 200)),
    Trap("LeadSquared's own markup", ["a {next} b", "{name}"], "note Value", ("notice note-markup B2",), ("a {next} b", "{name}")),
    # ---- rows that are no records
    Trap("a total", [("1", "a"), ("1", "")], "Value", ("problem total-row A3",), ("1", "-"), ("Value", "Other"), accounts={1: "Total"}),
    Trap("a footer", [("1", "a", "b"), ("", "", "")], "Value", ("problem footer-row A3",), ("1", "-"), ("Value", "Other", "More"), accounts={1: "Generated on 31/07/2026"}),
    Trap("headings again", [("1", "a"), ("Value", "Other")], "Value", ("problem repeated-headings A3",), ("1", "-"), ("Value", "Other"), accounts={1: "Account"}),
    Trap("a firm that is called Total", [("1", "a")], "Value", ("problem not-an-id A2",), ("-",), ("Value", "Other"), accounts={0: "Total Gas Ltd"}),
    # ---- headings
    Trap("a heading decomposed", ["x"], "Opción", (), ("x",), ("Opcio\u0301n",)),
    Trap("a heading with a line break", ["x"], "Visit date", (), ("x",), ("Visit\ndate",)),
    Trap("a heading with a no-break space", ["x"], "Visit date", (), ("x",), ("Visit\u00a0date",)),
)  # fmt: skip
