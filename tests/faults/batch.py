"""A batch on its way to a tenant that misbehaves: sent through the command line, compared with the truth."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conftest import Importer, Result, RunningTenant

ACCOUNT: Final = "8933fa5e-5b39-11e9-826a-0622360da6f{}"
MAPPING: Final = """\
RelatedCompanyId: Account
ActivityEvent: 10001
ActivityNote: Note
Fields:
  mx_Custom_1: Outcome
  mx_Custom_2: Remarks
"""
PATIENT: Final = ("--timeout", "60")
"""For faults that answer: no call of a slow computer is in doubt."""
QUICK: Final = ("--rate", "1000/1", "--settle", "0.3", "--timeout", "1", "--yes", "--json")


@dataclass(frozen=True)
class Line:
    """One row of a sheet. account: one of sixteen."""

    note: str
    outcome: str = "Won"
    remarks: str = "as ever"
    account: int = 0

    @property
    def content(self) -> tuple[str, str, str, str]:
        return (ACCOUNT.format(f"{self.account:x}"), self.note, self.outcome, self.remarks)


def lines(count: int, *, accounts: int = 3) -> list[Line]:
    """So many different rows on a few accounts."""
    return [Line(f"Visit number {n}", account=n % accounts) for n in range(1, count + 1)]


@dataclass(frozen=True)
class Row:
    """A line of the results file."""

    content: tuple[str, str, str, str]
    status: str
    activity_id: str
    error_code: str
    error: str
    attempts: int


class Import:
    """One sheet and its batch."""

    def __init__(self, importer: Importer, tenant: RunningTenant, folder: Path) -> None:
        self._importer = importer
        self.tenant = tenant
        self.folder = folder
        self.mapping = folder / "mapping.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")
        self.sheet = folder / "sheet.csv"
        self.results = folder / "sheet.results.csv"

    def write(self, rows: Sequence[Line]) -> None:
        with self.sheet.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Account", "Note", "Outcome", "Remarks"])
            writer.writerows(row.content for row in rows)

    def run(self, rows: Sequence[Line], *options: str) -> Result:
        """`importer run` with quick times; later options win."""
        self.write(rows)
        return self._importer("run", self.sheet, "-m", self.mapping, *QUICK, *options)

    def resume(self, *options: str) -> Result:
        return self._importer("resume", self.results, *QUICK, *options)

    def rows(self) -> list[Row]:
        """What the results file says."""
        with self.results.open(encoding="utf-8-sig", newline="") as stream:
            return [
                Row(
                    (line["Account"], line["Note"], line["Outcome"], line["Remarks"]),
                    line["import_status"],
                    line["import_activity_id"],
                    line["import_error_code"],
                    line["import_error"],
                    int(line["import_attempts"]),
                )
                for line in csv.DictReader(stream)
            ]

    @property
    def statuses(self) -> list[str]:
        return [row.status for row in self.rows()]

    @property
    def codes(self) -> list[str]:
        return [row.error_code for row in self.rows()]

    def say(self, number: int, **columns: str) -> None:
        """A person edits the line of row `number` (as Excel counts) in the results file."""
        with self.results.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names, found = list(reader.fieldnames or ()), list(reader)
        for line in found:
            if line["import_row"] == str(number):
                line.update(columns)
        with self.results.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(found)

    def wrongs(self) -> list[str]:
        """Everything about the batch that must never be: empty."""
        wrong: list[str] = []
        held: dict[str, tuple[str, str, str, str]] = {}
        ours: Counter[tuple[str, str, str, str]] = Counter()
        for activity in self.tenant.activities:
            fields = activity.fields
            content = (
                activity.company_id,
                activity.note,
                fields.get("mx_Custom_1", ""),
                fields.get("mx_Custom_2", ""),
            )
            held[activity.id.lower()] = content
            if activity.origin == "api":
                ours[content] += 1
        rows = self.rows()
        ids = Counter(row.activity_id.lower() for row in rows if row.activity_id)
        wrong += [f"{one} is the Id of {count} rows" for one, count in ids.items() if count > 1]
        for row in rows:
            if row.status == "created" and held.get(row.activity_id.lower()) != row.content:
                wrong.append(f"{row} has the Id of {held.get(row.activity_id.lower())}")
        wanted = Counter(row.content for row in rows)
        settled = Counter(row.content for row in rows if row.status == "created")
        wrong += [f"{content} was created {n} times" for content, n in ours.items() if n > wanted[content]]
        wrong += [f"{content} is lost" for content, n in settled.items() if ours[content] < n]
        return wrong


def json_of(result: Result) -> Mapping[str, object]:
    """The one object on stdout."""
    found: Mapping[str, object] = json.loads(result.stdout)
    return found
