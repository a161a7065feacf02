"""Builds what lies in `samples/`: `python tests/build_samples.py`. The files are committed; a test compares.

Accounts and users are those that the sandbox invents, so that lookups and Ids agree in a rehearsal.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Final

from openpyxl import Workbook
from openpyxl.styles import Font

from importer.sandbox.directory import made_up_id

SAMPLES: Final = Path(__file__).parent.parent / "samples"
ACCOUNTS: Final = [made_up_id("account", f"ACC-{number:04}") for number in range(1, 13)]
AGENTS: Final = {
    "Asha Rao": made_up_id("user", "asha.rao@example.com"),
    "Mei Lin": made_up_id("user", "mei.lin@example.com"),
    "John O'Brien": made_up_id("user", "John.OBrien@example.com"),
    "Vikram Singh": made_up_id("user", "vikram.singh@example.com"),
}
VISITS_HEADER: Final = [
    "Visit no", "Account ID", "Account", "Visited by", "Visit date", "Outcome", "Amount", "Follow-up",
    "Next visit", "Remarks",
]  # fmt: skip
NAMES: Final = [
    "Acme Traders", "Lefèvre & Fils", "Müller GmbH", "श्री गणेश स्टोर्स", "株式会社さくら", "O’Neill Ltd",
    "Fjällräven Öst",
    "Zażółć Sp. z o.o.", "Αθήνα Α.Ε.", "شركة النور", "Sun, Moon & Stars", "ООО «Ромашка»",
]  # fmt: skip
REMARKS: Final = [
    "Met the owner; wants a second demo.",
    "Showroom closed for stock-taking.\nCome back on Monday after 11.",
    'Said: "too expensive", but asked for a quote, in writing.',
    "ग्राहक को नया कैटलॉग चाहिए।",
    "担当者は不在。\n名刺を置いてきました。",
    "Très intéressé par le modèle B – devis à envoyer.",
    "=SUM of three orders, see e-mail",
    "Paid the open invoice № 0042 on the spot 👍",
    "Naïve question about the € price; answered.",
    "Нет на месте, перезвонить.",
    "",
    "Wants delivery before Diwali;\nneeds:\n- 2 × counter\n- 1 × shelf",
    "N/A",
]
DATES: Final = [
    "31/07/2026 10:30", "1/8/2026 9:05", "02 Aug 2026", "3 aug 2026", "04-08-26 02:15 PM", "05/08/2026 17:45",
    "6 Aug 2026", "07/08/2026 08:00", "08-08-26 11:00 am", "13/08/2026 16:20", "14 AUG 2026",
]  # fmt: skip
AMOUNTS: Final = ["12500", "1,25,000.50", "980.00", "", "45,000", "0", "1.10", "7 500", "2,300.75", "0.5"]
OUTCOMES: Final = ["Won", "Lost", "Open", "won", "OPEN", " Lost "]
FOLLOW_UPS: Final = ["yes", "no", "Y", "", "TRUE", "0"]
NEXT: Final = ["", "15/09/2026", "1/10/2026", "", "30/09/2026"]
PEOPLE: Final = ["asha.rao@example.com", "Mei.Lin@example.com", "vikram.singh@example.com"]


def visits() -> list[list[str]]:
    """40 visits; all of them can be sent."""
    rows = [VISITS_HEADER]
    for number in range(40):
        place = number * 5 % len(ACCOUNTS)
        account = ACCOUNTS[place]
        rows.append(
            [
                f"{417 + number:06}",
                f"{{{account.upper()}}}" if number % 9 == 4 else account,
                NAMES[place],
                PEOPLE[number % len(PEOPLE)],
                DATES[number * 3 % len(DATES)],
                OUTCOMES[number % len(OUTCOMES)],
                AMOUNTS[number * 7 % len(AMOUNTS)],
                FOLLOW_UPS[number * 5 % len(FOLLOW_UPS)],
                NEXT[number % len(NEXT)],
                REMARKS[number % len(REMARKS)],
            ]
        )
    return rows


FLAWS: Final = {
    3: ("Account ID", ""),
    4: ("Account ID", "ACC-0007"),
    6: ("Visit date", "31/02/2026 10:00"),
    7: ("Visit date", "yesterday"),
    8: ("Visit date", "2026/08/04"),
    10: ("Outcome", "Wno"),
    11: ("Outcome", ""),
    12: ("Amount", "1.250,00"),
    14: ("Amount", "€ 500"),
    15: ("Amount", "1.2E+11"),
    16: ("Follow-up", "maybe"),
    18: ("Visit no", "000417-2026"),
    19: ("Remarks", "bell\x07 in the text"),
}
"""Row number as Excel shows it: what is wrong there."""


def visits_with_problems() -> list[list[str]]:
    """20 visits, of which 13 have one problem each."""
    rows = [list(row) for row in visits()[:21]]
    for number, (column, text) in FLAWS.items():
        rows[number - 1][VISITS_HEADER.index(column)] = text
    return rows


def csv_bytes(rows: list[list[str]]) -> bytes:
    """As Excel's "CSV UTF-8": byte order mark, CRLF, line breaks inside of cells as they are."""
    target = io.StringIO(newline="")
    csv.writer(target).writerows(rows)
    return target.getvalue().encode("utf-8-sig")


CALLS_HEADER: Final = [
    "Account Id", "Account", "Type", "Agent", "When", "Minutes", "Outcome", "Interested",
    "Case no", "Chance", "Notes",
]  # fmt: skip
Value = str | int | float | bool | dt.datetime | None


def calls() -> list[list[Value]]:
    """25 calls, meetings and e-mails."""
    kinds, outcomes = (
        ["Call", "call", "Meeting", "E-mail"],
        ["Reached", "no answer", "Voicemail", "call back"],
    )
    rows: list[list[Value]] = []
    for number in range(25):
        place = number * 7 % len(ACCOUNTS)
        rows.append(
            [
                ACCOUNTS[place],
                NAMES[place],
                kinds[number % len(kinds)],
                list(AGENTS)[number % len(AGENTS)],
                dt.datetime(2026, 7, 1 + number, 9 + number % 8, number * 7 % 60),  # noqa: DTZ001 - wall clock
                5 + number * 3,
                outcomes[number * 3 % len(outcomes)],
                number % 3 == 0,
                417 + number,
                round(0.1 + number * 0.03, 2),
                REMARKS[number % len(REMARKS)] or None,
            ]
        )
    return rows


def calls_workbook() -> Workbook:
    """Several sheets; on `Calls` a title stands above the headings."""
    book = Workbook()
    front = book.worksheets[0]
    front.title = "Read me"
    front.append(["Export of the telephone system. The calls are on the sheet “Calls”."])
    sheet = book.create_sheet("Calls")
    sheet["A1"] = "Calls and meetings, July 2026"
    sheet["A1"].font = Font(bold=True, size=14)
    for column, heading in enumerate(CALLS_HEADER, 1):
        sheet.cell(3, column, heading).font = Font(bold=True)
    for row_number, row in enumerate(calls(), 4):
        for column, value in enumerate(row, 1):
            cell = sheet.cell(row_number, column)
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"
        sheet.cell(row_number, 5).number_format = "dd/mm/yyyy hh:mm"
        sheet.cell(row_number, 9).number_format = "00000"
        sheet.cell(row_number, 10).number_format = "0%"
    agents = book.create_sheet("Agents")
    agents.append(["Name", "User Id"])
    for name, user in AGENTS.items():
        agents.append([name, user])
    return book


def main() -> None:
    (SAMPLES / "visits.csv").write_bytes(csv_bytes(visits()))
    (SAMPLES / "visits-with-problems.csv").write_bytes(csv_bytes(visits_with_problems()))
    calls_workbook().save(SAMPLES / "calls.xlsx")


if __name__ == "__main__":
    main()
