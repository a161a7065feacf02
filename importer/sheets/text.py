"""Delimited text: the whole file is checked first, then `csv.reader(strict=True)` streams its records.

`strict` matters: without it an unclosed quotation mark swallows the rest of the file into one cell. A row's
number is the count of records, not of lines, which line breaks inside cells would shift: it is the number
that Excel shows when it opens the file.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from importer.errors import SheetError
from importer.sheets.dialect import (
    SUSPICIOUS,
    delimiter_named,
    find_quote_fault,
    separator_line,
    sniff_delimiter,
)
from importer.sheets.encoding import check_text, find_encoding
from importer.sheets.rows import Row, column_letters
from importer.sheets.sheet import Sheet, SheetOptions, unreadable
from importer.text import quoted

SUFFIXES: Final = (".csv", ".tsv", ".tab", ".txt", ".psv")
FIRST_FILLED_SEARCH: Final = 1000


class TextSheet(Sheet):
    """A CSV or similar file; see the module."""

    family: Literal["text", "workbook"] = "text"

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError, before any row is given, for what makes the text as a whole untrustworthy."""
        super().__init__(path, how)
        self._streams: set[io.TextIOWrapper] = set()
        self._one_column = False
        try:
            self._encoding, warning = find_encoding(path, how.encoding)
            self.warnings += [warning] if warning else []
            self.warnings += check_text(path, self._encoding)
            self.encoding = self._encoding.codec
            with self._stream() as stream:
                separator = separator_line(stream.readline())
            self._skip_lines = 0 if separator is None else 1
            self.delimiter = self._choose_delimiter(separator)
            self._read_header()
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        finally:
            self.close()

    def rows(self) -> Iterator[Row]:
        self.check_unchanged()
        try:
            stream = self._stream(self._skip_lines)
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error
        self._streams.add(stream)
        try:
            yield from self._rows(stream)
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error
        finally:
            self._streams.discard(stream)
            stream.close()

    def close(self) -> None:
        while self._streams:
            self._streams.pop().close()

    def _stream(self, skip_lines: int = 0) -> io.TextIOWrapper:
        raw = self.path.open("rb")
        try:
            raw.seek(self._encoding.skip_bytes)
            stream = io.TextIOWrapper(raw, encoding=self._encoding.codec, errors="strict", newline="")
            for _ in range(skip_lines):
                stream.readline()
        except BaseException:
            raw.close()
            raise
        return stream

    def _choose_delimiter(self, separator: str | None) -> str:
        if self.how.delimiter is not None:
            return delimiter_named(self.how.delimiter, self.path)
        if separator is not None:
            return separator
        with self._stream(self._skip_lines) as stream:
            found = sniff_delimiter(stream, self.header_row)
        if found is not None:
            return found
        self._one_column = True
        return ","

    def _read_header(self) -> None:
        header: list[str] = []
        filled: int | None = None
        number = 0
        with self._stream(self._skip_lines) as stream:
            reader = csv.reader(stream, delimiter=self.delimiter or ",", strict=True)
            try:
                for record in itertools.islice(reader, max(self.header_row, FIRST_FILLED_SEARCH)):
                    number += 1
                    if filled is None and any(cell.strip() for cell in record):
                        filled = number
                    if number == self.header_row:
                        header = record
                    if number >= self.header_row and filled is not None:
                        break
            except csv.Error as error:
                raise self._broken_record(number + 1, error) from error
        self.adopt_header(header, filled)
        if self._one_column:
            self._question_one_column()

    def _question_one_column(self) -> None:
        if SUSPICIOUS.intersection(self.header[0]):
            raise SheetError(
                f"The header gives one column only, {quoted(self.header[0], 60)}.",
                where=self.place(self.header_row),
                remedy="Name the character that divides the columns with --delimiter"
                " (if it really is one column: `--delimiter comma`, the heading in quotation marks).",
            )
        self.warnings.append(
            f"The header gives one column only, {quoted(self.header[0], 60)}. If there should be more, name"
            " what divides them with --delimiter, or the header's row with `header_row:` in the mapping."
        )

    def _rows(self, stream: io.TextIOWrapper) -> Iterator[Row]:
        reader = csv.reader(stream, delimiter=self.delimiter or ",", strict=True)
        width = len(self.header)
        number = 0
        try:
            for _ in itertools.islice(reader, self.header_row):
                number += 1
            for record in reader:
                number += 1
                if len(record) == width and record[0].strip():
                    yield Row(number, tuple(record))
                elif (row := self._uneven(number, record)) is not None:
                    yield row
        except csv.Error as error:
            raise self._broken_record(number + 1, error) from error
        except UnicodeDecodeError as error:  # it was checked: the file is another one now
            self.check_unchanged()
            raise SheetError(f"The file cannot be read after row {number}.", where=self.path.name) from error

    def _uneven(self, number: int, record: Sequence[str]) -> Row | None:
        """A record of any length as a row; None if it is blank."""
        if not any(cell.strip() for cell in record):
            return None
        width = len(self.header)
        missing = width - len(record)
        if missing >= 0:
            return Row(number, (*record, *("",) * missing))
        surplus = next((index for index in range(width, len(record)) if record[index].strip()), None)
        problem = None if surplus is None else self.surplus(number, surplus, record[surplus])
        return Row(number, tuple(record[:width]), problem)

    def _broken_record(self, number: int, error: csv.Error) -> SheetError:
        """What is wrong with record `number`, found by reading up to it once more."""
        with self._stream(self._skip_lines) as stream:
            reader = csv.reader(stream, delimiter=self.delimiter or ",", strict=True)
            for _ in itertools.islice(reader, number - 1):
                pass
            start = reader.line_num
        first_line = start + self._skip_lines + 1
        with self._stream(first_line - 1) as stream:
            fault = find_quote_fault(stream, self.delimiter or ",", first_line)
        if fault is None:
            return SheetError(
                f"The row cannot be read ({error}).",
                where=f"{self.place(number)} (line {first_line})",
                remedy="A cell may be longer than any sheet allows. Export the sheet again.",
            )
        where = f"{self.place(number)} (line {fault.line}), column {column_letters(fault.column)}"
        if fault.after:
            what = (
                "The cell begins with a quotation mark, but after the one that closes it"
                f" (line {fault.end_line}) follows {quoted(fault.after)}."
            )
        else:
            what = "The cell begins with a quotation mark that is never closed."
        return SheetError(
            what,
            where=where,
            remedy='Close it, and double those that belong to the text (`"5"" pipe"`); or save the sheet'
            " as CSV from Excel, which does both.",
        )
