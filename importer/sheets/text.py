"""Which character divides the columns of a text file, and where a quotation mark went wrong.

`csv.Sniffer` is not asked: it looks for a delimiter beside any pair of quotation marks or apostrophes, so
that one note like `it's, 'so', fine` in a file divided by `;` makes it answer `,`. Here the header decides: a
delimiter that does not divide it is out, and the rows below have to agree with it.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from importer.errors import SheetError
from importer.findings import VALUE_SHOWN_MAX, CellFinding, Severity
from importer.sheets.encoding import check_text, find_encoding
from importer.sheets.record_shape import Record, Shape, blank_start, moved_by_quotes, read_records
from importer.sheets.rows import Row, column_letters
from importer.sheets.sheet import Sheet, SheetOptions, unreadable
from importer.sheets.text_damage import (
    CELL_LENGTH_MAX,
    EMPTY_WORDS,
    find_damage,
    odd_value,
    point_zero_columns,
    refuse_long,
    unguarded,
)
from importer.text import quoted

CANDIDATES: Final = (",", ";", "\t", "|")
SAMPLE_RECORDS: Final = 100
DELIMITER_NAMES: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
FAULT_SEARCH_CHARACTERS: Final = 1 << 20
OPEN_MARK: Final = "The cell begins with a quotation mark that is never closed."
CLOSED_MARK: Final = (
    "The cell begins with a quotation mark, but after the one that closes it (line {}) follows {}."
)
ESCAPED_MARK: Final = (
    "A quotation mark inside of the cell seems to be escaped by a backslash, which ends the cell; after it"
    " (line {}) follows {}."
)
SUSPICIOUS: Final = frozenset(",;\t|:^~\x1f¦§")


def delimiter_named(text: str, path: Path) -> str:
    """The character that `--delimiter` or the mapping asks for. Raises SheetError."""
    char = DELIMITER_NAMES.get(text.strip().lower(), text)
    if len(char) != 1 or char in '"\r\n \0' or char.isalnum():
        raise SheetError(
            f'"{text}" cannot divide columns.',
            where=path.name,
            remedy="Name one character, such as `,` or `;`, or one of: tab, comma, semicolon, pipe.",
        )
    return char


def separator_line(line: str) -> str | None:
    """The delimiter that a first line `sep=;` names, as Excel understands it; None for any other line.

    Programs that save such a file again pad the line with delimiters, as long as the others: `sep=;;;`.
    """
    text = line.rstrip("\r\n").strip('"')
    if len(text) < 5 or text[:4].lower() != "sep=" or text[4] in '"\0':
        return None
    padding = text[5:].strip('"')
    return text[4] if len(set(padding)) < 2 and padding[:1] in ("", text[4], *CANDIDATES) else None


def sniff_delimiter(lines: Iterable[str], header_row: int) -> str | None:
    """The candidate that divides the header, best borne out by the rows below; None if none divides it."""
    sample = list(itertools.islice(lines, header_row + 4 * SAMPLE_RECORDS))
    best: tuple[float, int] = (0.0, 0)
    found = None
    for candidate in CANDIDATES:
        records = list(_records(sample, candidate, header_row))
        if not records or len(records[0]) < 2:
            continue
        agreeing = [len(record) == len(records[0]) for record in records[1:] if record]
        score = (sum(agreeing) / len(agreeing) if agreeing else 1.0, sum(map(bool, records[0])))
        if score > best:
            best, found = score, candidate
    return found


def _records(sample: list[str], delimiter: str, header_row: int) -> Iterator[list[str]]:
    reader = csv.reader(sample, delimiter=delimiter, strict=True)
    try:
        yield from itertools.islice(reader, header_row - 1, header_row - 1 + SAMPLE_RECORDS)
    except csv.Error:
        return  # the sample may end inside a quoted cell; what was read before counts


def find_quote_fault(lines: Iterable[str], delimiter: str, first_line: int) -> tuple[int, int, str] | None:
    """The first quotation mark of a record that opens a cell and is not closed as it should be: the cell's
    column, the line, and what is wrong with it.

    lines: the record's physical lines and what follows them. None if the record has no such mark.
    """
    column, opened, state = 0, first_line, "start"
    seen = 0
    for number, line in enumerate(lines, first_line):
        seen += len(line)
        if seen > FAULT_SEARCH_CHARACTERS:
            break
        for at, char in enumerate(line):
            if state == "quoted":
                state = "closing" if char == '"' else "quoted"
            elif state == "closing" and char == '"':
                state = "quoted"
            elif char == delimiter:
                column, state = column + 1, "start"
            elif char in "\r\n":
                return None
            elif state == "closing":
                after = quoted(line[at : at + 20].rstrip("\r\n"))
                escaped = line[at - 2 : at] == '\\"'
                return column, opened, (ESCAPED_MARK if escaped else CLOSED_MARK).format(number, after)
            elif state == "start" and char == '"':
                opened, state = number, "quoted"
            else:
                state = "plain"
    return (column, opened, OPEN_MARK) if state == "quoted" else None


FIRST_FILLED_SEARCH: Final = 1000
CELL_READ_MAX: Final = 4 << 20
QUOTE_MARKS: Final = frozenset(('\\"', ' "', '\t"', "\\,", "\\;", "\\\t", "\\|"))
"""What a file holds if quotation marks or delimiters are escaped by a backslash, or marks follow a blank."""

csv.field_size_limit(CELL_READ_MAX)


class TextSheet(Sheet):
    """A CSV or similar file; see the module."""

    family: Literal["text", "workbook"] = "text"
    delimiter: str

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError, before any row is given, for what makes the text as a whole untrustworthy."""
        super().__init__(path, how)
        self._streams: set[io.TextIOWrapper] = set()
        self._width = 0
        self._shape: Shape | None = None
        try:
            self._encoding, warning = find_encoding(path, how.encoding)
            self.warnings += [warning] if warning else []
            facts = check_text(path, self._encoding, (*QUOTE_MARKS, ".0"))
            self.warnings += facts.warnings
            self._may_be_escaped = not facts.holds.isdisjoint(QUOTE_MARKS)
            self._may_end_in_zeros = ".0" in facts.holds
            self._mixed_ends = facts.mixed_ends
            self.encoding = self._encoding.codec
            with self._stream() as stream:
                separator = separator_line(stream.readline())
            self._skip_lines = 0 if separator is None else 1
            self._read_header(separator)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        finally:
            self.close()

    def rows(self) -> Iterator[Row]:
        self.check_unchanged()
        try:
            if self._shape is None and self._mixed_ends:
                self._shape = self._learn_shape()
            stream = self._stream(self._skip_lines)
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error
        self._streams.add(stream)
        try:
            yield from self.without_unfilled(self._rows(stream))
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error
        finally:
            self._streams.discard(stream)
            stream.close()

    def close(self) -> None:
        while self._streams:
            self._streams.pop().close()

    def _stream(self, skip_lines: int = 0) -> io.TextIOWrapper:
        stream = self._encoding.open(self.path)
        try:
            for _ in range(skip_lines):
                stream.readline()
        except BaseException:
            stream.close()
            raise
        return stream

    def _records(self, stream: Iterable[str], *, keep_raw: bool = False) -> Iterator[Record]:
        """The stream's records. Raises SheetError that names the quotation mark which does not fit."""
        number = line = 0
        try:
            for record in read_records(stream, self.delimiter, keep_raw=keep_raw):
                number, line = record.number, record.first_line + record.lines - 1
                yield record
        except csv.Error as error:
            raise self._broken_record(number + 1, self._skip_lines + line + 1, error) from error
        except UnicodeDecodeError as error:  # it was checked: the file is another one now
            self.check_unchanged()
            raise SheetError(
                f"The file cannot be read after row {number}.",
                where=self.path.name,
                remedy="Copy it to a local disk and try again.",
            ) from error

    def _read_header(self, separator: str | None) -> None:
        """separator: the delimiter that a first line names."""
        named = None if self.how.delimiter is None else delimiter_named(self.how.delimiter, self.path)
        found = named or separator
        if found is None:
            with self._stream(self._skip_lines) as stream:
                found = sniff_delimiter(stream, self.header_row)
        self.delimiter = found or ","
        header: Record | None = None
        filled: int | None = None
        with self._stream(self._skip_lines) as stream:
            records = self._records(stream, keep_raw=True)
            for record in itertools.islice(records, max(self.header_row, FIRST_FILLED_SEARCH)):
                if filled is None and any(cell.strip() for cell in record.cells):
                    filled = record.number
                if record.number == self.header_row:
                    header = record
                if record.number >= self.header_row and filled is not None:
                    break
        cells = [] if header is None else [_unguarded(cell) for cell in header.cells]
        self.adopt_header(cells, filled)
        self._width = len(cells)
        raw = "" if header is None else header.raw
        if found is None:
            self._question_one_column(raw)
        at = next((index for index, cell in enumerate(self.header) if cell[:1] == '"' == cell[-1:]), None)
        if at is not None and f"{self.delimiter} " in raw:
            raise SheetError(
                f"The heading {self.header[at]} is in quotation marks after a blank, so that they do not"
                " quote, and texts with a delimiter in them would be cut.",
                where=self.place(self.header_row, at),
                remedy="Delete the blanks after the delimiters, or export the sheet again without them.",
            )
        if named is None and separator is not None and len(cells) == 1 and SUSPICIOUS.intersection(cells[0]):
            raise SheetError(
                f"The first line (`sep=`) names {quoted(separator)} as the delimiter, but the"
                f" headings are not divided by it: {quoted(cells[0], 60)}.",
                where=self.place(self.header_row),
                remedy="Delete the first line, or correct it.",
            )

    def _question_one_column(self, raw: str) -> None:
        """Raises SheetError for a header that is hardly one heading. raw: its line."""
        text = quoted(self.header[0], 60)
        if not SUSPICIOUS.intersection(self.header[0]):
            self.warnings.append(
                f"The header gives one column only, {text}. If there should be more, name what divides them"
                " with --delimiter, or the header's row with `header_row:` in the mapping."
            )
        elif raw.startswith('"'):
            raise SheetError(
                f"The whole line is in quotation marks, so that the header is one cell, {text}.",
                where=self.place(self.header_row),
                remedy="If every line does, open the file in a text editor, delete the quotation marks at"
                " the beginning and end of each line and halve those inside; or export the sheet"
                " again.",
            )
        else:
            raise SheetError(
                f"The header gives one column only, {text}.",
                where=self.place(self.header_row),
                remedy="Name the character that divides the columns with --delimiter (if it really is one"
                " column: `--delimiter comma`, the heading in quotation marks).",
            )

    def _learn_shape(self) -> Shape:
        """What is usual in the file: it takes a reading of the whole file, and most files do not need it."""
        with self._stream(self._skip_lines) as stream:
            records = self._records(stream, keep_raw=self._mixed_ends)
            below = itertools.islice(records, self.header_row, None)
            return Shape(self._width, self.delimiter, below, mixed_ends=self._mixed_ends)

    def _zeros(self) -> list[int]:
        """The columns in which every number ends in `.0`."""
        if not self._may_end_in_zeros:
            return []
        with self._stream(self._skip_lines) as stream:
            below = itertools.islice(self._records(stream), self.header_row, None)
            return point_zero_columns((record.cells for record in below), len(self.header))

    def _rows(self, stream: Iterable[str]) -> Iterator[Row]:
        width, delimiter, zeros = len(self.header), self.delimiter, self._zeros()
        mixed_ends = self._shape is not None and self._shape.mixed_ends
        before: Record | None = None
        records = self._records(stream, keep_raw=self._may_be_escaped or mixed_ends)
        below = itertools.islice(records, self.header_row, None)
        for record, after in itertools.pairwise(itertools.chain(below, (None,))):
            if record is None:
                continue
            number, cells, _, lines, _ = record
            problem: str | None = None
            findings: tuple[CellFinding, ...] = ()
            goes_on = after is not None and len(after.cells) == 1  # a text may have been cut by a line break
            if self._may_be_escaped:
                problem = moved_by_quotes(record, delimiter, self._width)
            odd = goes_on or len(cells) != self._width or blank_start(cells) is not None
            if odd or mixed_ends or (lines > 1 and any(delimiter in cell for cell in cells)):
                problem, findings = self._doubts(record, before, after, problem)
            before = record
            if len(cells) != width or not cells[0].strip():
                if not any(cell.strip() for cell in cells):
                    continue
                problem = problem or self.surplus(number, enumerate(cells))
                cells = (cells + [""] * (width - len(cells)))[:width]
            findings += find_damage(cells, self.header)
            if sum(map(len, cells)) > CELL_LENGTH_MAX:
                refuse_long(cells)
            for at in zeros:
                if cells[at] and cells[at] not in EMPTY_WORDS:
                    findings += (odd_value("point-zero", self.header, at, cells[at]),)
            yield Row(number, tuple(cells), problem, findings)

    def _doubts(
        self, record: Record, before: Record | None, after: Record | None, problem: str | None
    ) -> tuple[str | None, tuple[CellFinding, ...]]:
        """What speaks against a record's shape: a problem, or a question. problem: what is known already."""
        shape = self._shape = self._shape or self._learn_shape()
        unfinished = after is None and self._is_unfinished()
        problem = problem or shape.fault(record, before, after, unfinished=unfinished)
        if problem is not None or record.lines == 1:
            return problem, ()
        swallowed = shape.swallowed(record)
        if swallowed is None:
            return None, ()
        index, line = swallowed
        place = f"{column_letters(index)}{record.number} (line {record.first_line + self._skip_lines})"
        finding = CellFinding(
            Severity.QUESTION, None, None, kind="rows-swallowed",
            value=record.cells[index][:VALUE_SHOWN_MAX],
            message=f"Cell {place} begins with a quotation mark and holds lines that look like rows of this"
            f" table, such as {quoted(line, 60)}: are they rows?",
            remedy="If they are, write that quotation mark twice and put the text in quotation marks, or"
            " export the sheet again. If they belong to the text, use --accept rows-swallowed (or"
            " `accept: [rows-swallowed]` in the mapping).",
        )  # fmt: skip
        return None, (finding,)

    def _is_unfinished(self) -> bool:
        """Whether the file ends without a line end."""
        with self.path.open("rb") as stream:
            size_bytes = stream.seek(0, io.SEEK_END)
            stream.seek(max(0, size_bytes - 4))
            return stream.read().rstrip(b"\0")[-1:] not in (b"\r", b"\n", b"\x1a")

    def _broken_record(self, number: int, first_line: int, error: csv.Error) -> SheetError:
        """What is wrong with record `number`, which begins in line `first_line` of the file."""
        with self._stream(first_line - 1) as stream:
            fault = find_quote_fault(stream, self.delimiter, first_line)
        if fault is None:
            return SheetError(
                f"A cell of the row is longer than {CELL_READ_MAX:,} characters."
                if "limit" in str(error)
                else "The row cannot be read: its quotation marks do not fit.",
                where=f"{self.place(number)} (line {first_line})",
                remedy="Shorten the text, or export the sheet again from its origin.",
            )
        column, line, what = fault
        return SheetError(
            what,
            where=f"{self.place(number)} (line {line}), column {column_letters(column)}",
            remedy='Close it, and write those that belong to the text twice (`"5"" pipe"`); or save the sheet'
            " as CSV from Excel, which does both.",
        )


def _unguarded(heading: str) -> str:
    text = unguarded(heading.strip(" "))
    return heading if text is None else text
