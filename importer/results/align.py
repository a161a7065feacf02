"""Bringing a results file back into the sheet's shape: its columns by heading, its lines by row number."""

from __future__ import annotations

import heapq
import itertools
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from importer.errors import ResultsError
from importer.results.respelling import is_respelling
from importer.results.results_reader import FileLine, OurCells
from importer.sheets.rows import Cells, decode_cells, encode_cells

SORTED_IN_MEMORY: Final = 50_000
_WHOLE: Final = re.compile(r"(\d{1,9})(?:[.,]0+)?", re.ASCII)
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,2}")


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which column of the file holds each of the sheet's. at: by the sheet's index, None where it is gone.

    gone, extra: headings that only the sheet, only the file has.
    """

    at: tuple[int | None, ...]
    gone: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def straight(self) -> bool:
        """Nothing moved: the file's cells are the sheet's."""
        return not self.extra and self.at == tuple(range(len(self.at)))

    def cells(self, found: Cells, kept: Cells) -> Cells:
        """The file's cells in the sheet's order; `kept` where the column is gone."""
        if self.straight:
            return found
        return tuple(old if at is None else found[at] for at, old in zip(self.at, kept, strict=True))

    def notes(self) -> list[str]:
        """For the person: columns that went, and columns that came."""
        gone = [f'The column "{name}" is gone: its cells stay as they were.' for name in self.gone]
        new = [
            f'The column "{name}" is not of the sheet: it is not looked at.' for name in self.extra if name
        ]
        return gone + new


def align(header: Sequence[str], found: Sequence[str], where: str) -> Alignment:
    """header: the sheet's headings. found: the file's, without ours; moved, respelt, removed or added ones.

    Raises ResultsError where a heading that the sheet has several times is there less often in the file: it
    is not known which column was removed.
    """
    wanted, offered = [_plain(name) for name in header], [_plain(name) for name in found]
    _refuse_unclear(header, wanted, offered, where)
    places: dict[str, list[int]] = {}
    for index, name in enumerate(offered):
        places.setdefault(name, []).append(index)
    at: list[int | None] = [places[name].pop(0) if places.get(name) else None for name in wanted]
    free = sorted(index for indices in places.values() for index in indices)
    for column, place in enumerate(at):
        if place is None:
            near = next(
                (index for index in free if found[index] and is_respelling(header[column], found[index])),
                None,
            )
            if near is not None:
                at[column] = near
                free.remove(near)
    gone = tuple(header[column] for column, place in enumerate(at) if place is None)
    return Alignment(tuple(at), gone, tuple(found[index] for index in free))


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _refuse_unclear(header: Sequence[str], wanted: list[str], offered: list[str], where: str) -> None:
    there = Counter(offered)
    for name, count in Counter(wanted).items():
        if count > 1 and there[name] < count:
            shown = header[wanted.index(name)]
            raise ResultsError(
                f'The sheet has {count} columns headed "{shown}", the file {there[name]}: which is which?',
                where=where,
                remedy="Put the missing one back, or start from the results file as it was written.",
            )


def row_number(text: str | None) -> int | None:
    """The row that `import_row` names, however a spreadsheet writes it (`17`, `17.0`, `1,017`); else None."""
    if not text:
        return None
    if match := _WHOLE.fullmatch(text):
        return int(match.group(1))
    return int(re.sub(r"\D", "", text)) if _GROUPED.fullmatch(text) else None


def in_row_order(lines: Iterable[FileLine]) -> Iterator[FileLine]:
    """The lines by row number, those of one number in the file's order; sorted on disk, not in memory."""
    lines = iter(lines)
    with ExitStack() as stack:
        runs = []
        while run := sorted(itertools.islice(lines, SORTED_IN_MEMORY), key=_order):
            # Without a name where the system can do that: it holds customer data.
            spool = stack.enter_context(
                tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", prefix="importer-")
            )
            for line in run:
                spool.write(json.dumps([line.place, line.ours, encode_cells(line.cells)]) + "\n")
            spool.seek(0)
            runs.append(map(_line, spool))
        yield from heapq.merge(*runs, key=_order)


def _order(line: FileLine) -> tuple[int, int]:
    number = row_number(line.ours.row)
    return (-1 if number is None else number, line.place)


def _line(text: str) -> FileLine:
    place, ours, cells = json.loads(text)
    return FileLine(place, OurCells(*ours), decode_cells(cells))
