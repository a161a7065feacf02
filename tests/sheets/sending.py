"""Sheets on their way through `importer run`: what is sent, and what of it arrived."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conftest import Importer, Result, RunningTenant

from importer.sheets import open_sheet

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
MAPPING = """\
RelatedCompanyId: Account ID
ActivityEvent: 10001
Fields:
  mx_Custom_1: {column: Value, strip: false}
  mx_Custom_2: Line
"""


@dataclass(frozen=True)
class Sent:
    """How the command ended, and what the tenant holds by then: values in the order of the sheet's lines."""

    result: Result
    arrived: list[str]

    @property
    def exit(self) -> int:
        """The exit code."""
        return self.result.exit

    @property
    def results(self) -> Path:
        """The results file."""
        return Path(self.result.json["results"])

    @property
    def rows(self) -> list[int]:
        """`import_row` of every line of the results file."""
        with open_sheet(self.results) as sheet:
            return [int(row.cells[0]) for row in sheet.rows()]


class Sender:
    """Sends sheets made by `table_of` to a tenant, every value exactly as it stands."""

    def __init__(self, importer: Importer, tenant: RunningTenant, folder: Path) -> None:
        self._importer = importer
        self.tenant = tenant
        self.mapping = folder / "exact.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")

    def __call__(self, source: Path, *options: str) -> Sent:
        """`importer run SOURCE -m MAPPING --yes --json OPTIONS`."""
        return self._ended(self._importer("run", source, "-m", self.mapping, "--yes", "--json", *options))

    def resume(self, results: Path, *options: str) -> Sent:
        """`importer resume RESULTS --yes --json OPTIONS`."""
        return self._ended(self._importer("resume", results, "--yes", "--json", *options))

    def check(self, source: Path, *options: str) -> Result:
        """`importer check SOURCE -m MAPPING OPTIONS`."""
        return self._importer("check", source, "-m", self.mapping, *options)

    @property
    def arrived(self) -> dict[str, str]:
        """What the tenant holds: value by line."""
        held = self.tenant.activities
        return {each.fields["mx_Custom_2"]: each.fields.get("mx_Custom_1", "") for each in held}

    def _ended(self, result: Result) -> Sent:
        arrived = self.arrived
        return Sent(result, [arrived[line] for line in sorted(arrived, key=lambda name: int(name[1:]))])


def delimited(table: Sequence[Sequence[str]], delimiter: str, *, line_end: str = "\r\n") -> str:
    """The table as delimited text, quoted where it has to be."""
    stream = io.StringIO(newline="")
    # A writer whose lines end with CR would leave a lone LF inside a cell unquoted, and the other way round.
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
    csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(table)
    return stream.getvalue()


def table_of(values: Sequence[str]) -> list[list[str]]:
    """A sheet with one row for each value."""
    return [["Account ID", "Line", "Value"], *([ACCOUNT, f"v{at}", value] for at, value in enumerate(values))]
