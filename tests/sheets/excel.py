"""What Excel makes of a CSV that somebody opens and saves: the documented habits, cell by cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

Records = list[list[str]]
Change = Callable[[Records], object]
MONTHS_DE = ("Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez")


@dataclass(frozen=True)
class Habits:
    """One computer's: its list separator, decimal mark, date order, its word for TRUE, and the encoding."""

    delimiter: str = ","
    decimal: str = "."
    date: str = "%m/%d/%Y"
    truths: tuple[str, str] = ("TRUE", "FALSE")
    encoding: str = "cp1252"


HABITS = {
    "English (US), CSV": Habits(),
    "English (UK), CSV UTF-8": Habits(date="%d/%m/%Y", encoding="utf-8-sig"),
    "German, CSV": Habits(";", ",", "%d.%m.%Y", ("WAHR", "FALSCH")),
    "French, CSV UTF-8": Habits(";", ",", "%d/%m/%Y", ("VRAI", "FAUX"), "utf-8-sig"),
    "German, Unicode text": Habits("\t", ",", "%d.%m.%Y", ("WAHR", "FALSCH"), "utf-16"),
}


def resave(path: Path, habits: Habits, *changes: Change) -> None:
    """Opens the CSV, applies what a person does, and saves it in place as Excel would."""
    text = path.read_bytes().decode("utf-8-sig")
    delimiter = next(char for char in ",;\t|" if f"import_row{char}" in text)
    records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    opened = [records[0], *([shown(cell, habits) for cell in record] for record in records[1:])]
    for change in changes:
        change(opened)
    with path.open("w", encoding=habits.encoding, errors="replace", newline="") as stream:
        csv.writer(stream, delimiter=habits.delimiter, lineterminator="\r\n").writerows(opened)


def shown(cell: str, habits: Habits) -> str:
    """What the cell becomes."""
    text = cell.strip()
    if cell.upper() in {"TRUE", "FALSE"}:
        return habits.truths[cell.upper() == "FALSE"]
    if re.fullmatch(
        r"(19|[2-9][0-9])[0-9][0-9]-[0-9][0-9]-[0-9][0-9]", text
    ):  # Excel's calendar begins in 1900
        return _day(date.fromisoformat(text), habits)
    if habits.decimal == "," and (match := re.fullmatch(r"0?([1-9]|1[0-9]|2[0-8])\.0?([1-9]|1[0-2])", text)):
        return f"{int(match[1]):02}. {MONTHS_DE[int(match[2]) - 1]}"
    return _number(text, habits) or cell


def _day(day: date, habits: Habits) -> str:
    """The short date; in American order without leading zeros."""
    return f"{day.month}/{day.day}/{day.year}" if habits.date[1] == "m" else day.strftime(habits.date)


def _number(text: str, habits: Habits) -> str:
    """What is shown of a number; "" for anything else."""
    if re.fullmatch(r"[+-]?[0-9]+[eE][+-]?[0-9]{1,2}", text):
        return f"{float(text):.2E}".replace(".", habits.decimal)
    pattern = r"[+-]?[0-9]+(\.[0-9]+)?" if habits.decimal == "." else r"[+-]?[0-9]+"
    return _general(float(text)).replace(".", habits.decimal) if re.fullmatch(pattern, text) else ""


def _general(value: float) -> str:
    """The format General: eleven characters, an exponent only for very long and very small numbers."""
    size = abs(value)
    if size >= 1e11 or 0 < size < 1e-4:
        mantissa, _, exponent = f"{value:.5E}".partition("E")
        return f"{mantissa.rstrip('0').rstrip('.')}E{exponent}"
    shown = f"{value:.{max(0, 10 - len(str(int(size))))}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
