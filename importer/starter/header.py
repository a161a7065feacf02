"""The headings of a sheet: which row holds them, and what they say, whatever their spelling.

The row is the first that names the columns used below it. `AccountGuid`, `account-id`, `Accuont ID` are one.
"""

from __future__ import annotations

import contextlib
import csv
import enum
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from rapidfuzz import fuzz

from importer.errors import SheetError
from importer.mapping.values import IdValue, NumberValue, trimmed
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.detect import Kind, find_kind
from importer.sheets.encoding import find_encoding
from importer.sheets.sheet import COLUMNS_MAX, unreadable
from importer.sheets.text import delimiter_named, separator_line, sniff_delimiter
from importer.starter.date_guesses import readings

SEARCHED_ROWS: Final = 30
TOP_ROWS: Final = 80
SAMPLE_LINES: Final = 600
SAMPLE_CHARACTERS: Final = 1 << 20
HEADING_CHARACTERS_MAX: Final = 120
COVERED_LEAST: Final = 0.75
TEXT_LEAST: Final = 0.75
ALIKE_LEAST: Final = 86.0
SHORT_MAX: Final = 5
ADDRESS: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s.,;<>]{2,}")

TopRow = tuple[int, Sequence[str]]
"""A row's number as Excel shows it, and its cells."""


class Role(enum.Enum):
    """What a column can be for, beyond a field of its own: the phrases that headings use for it."""

    ACCOUNT_ID = (
        "related company id, account id, company id, account guid, company guid, related account id,"
        " organisation id, organization id, customer id, client id, account uuid, crm id, lsq account id,"
        " leadsquared account id, leadsquared id"
    )
    ACCOUNT_CODE = (
        "account code, company code, customer code, client code, account number, account no, customer number,"
        " customer no, client no, dealer code, store code, outlet code, party code, account ref,"
        " account reference, code, acct code, acct no, shop code"
    )
    ACCOUNT_NAME = (
        "account name, account, company name, company, customer name, customer, client name, client,"
        " organisation, organization, party name, dealer name, dealer, store name, shop"
    )
    OWNER = (
        "owner, owner id, owner email, user, user id, user email, agent, agent email, visited by,"
        " visited by email, called by, done by, created by, logged by, sales rep, sales person,"
        " sales executive, executive, assigned to, employee, employee email, rep, rep email,"
        " relationship manager, account manager, account owner, field officer, staff, sales rep email,"
        " activity owner, owner mail, performed by"
    )
    NOTE = (
        "remarks, remark, notes, note, comments, comment, activity note, description, details, summary,"
        " feedback, discussion, minutes of meeting, observations, call notes, visit notes, meeting notes,"
        " activity notes"
    )
    EVENT = (
        "activity event, activity event code, event code, activity code, activity type code, activity type,"
        " event type, activity, type of activity"
    )
    KIND = "type, kind"
    CHOICE = (
        "outcome, status, stage, result, type, priority, category, disposition, reason, rating, segment,"
        " region, zone, channel, mode, source, purpose"
    )
    DATE = (
        "date, visit date, call date, meeting date, activity date, created on, date of visit, next visit,"
        " follow up date, due date, start date, end date, when, day, date time,"
        " timestamp"
    )
    LABEL = (
        "s no, sr no, serial no, sl no, no, row, row no, visit no, case no, ticket no, phone, phone no,"
        " phone number, mobile, mobile no, mobile number, telephone, fax, pin code, pincode, zip, zip code,"
        " postal code, postcode, invoice no, order no, order id, ticket id, visit id, case id, reference,"
        " ref no, gst no, gstin, id"
    )


_USUAL: Final = (
    "account address agent amount city client code comment comments company customer date description"
    " details email follow guid id mail mobile name next no note notes number outcome owner phone region"
    " remark remarks stage status time type user value"
)
_OTHERS: Final = "account client company contact customer dealer guest lead person prospect"
HEADING_WORDS: Final = frozenset(_USUAL.split())
OTHERS_WORDS: Final = frozenset(_OTHERS.split())
"""In a heading of e-mail addresses: they are not those of our own users."""
_JOINT: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=4096)
def words(heading: str) -> str:
    """The heading as lower-case words: `AccountGuid` and `ACCOUNT_GUID` give `account guid`."""
    parted = _JOINT.sub(" ", heading).casefold().replace("e-mail", "email")
    return " ".join("".join(char if char.isalnum() else " " for char in parted).split())


@lru_cache(maxsize=16_384)
def likeness(heading: str, role: Role) -> float:
    """How much a heading sounds like the role, 0 to 100; 0 if it does not."""
    said = words(heading)
    if not said or len(said) > 60:
        return 0.0
    joined = said.replace(" ", "")
    # Short words differ by one letter and mean another thing: only longer ones may be misspelt.
    found = max(
        max(fuzz.ratio(said, phrase), fuzz.token_sort_ratio(said, phrase))
        if min(len(joined), len(phrase)) > SHORT_MAX and joined != phrase.replace(" ", "")
        else 100.0 * (joined == phrase.replace(" ", ""))
        for phrase in role.value.split(", ")
    )
    return found if found >= ALIKE_LEAST else 0.0


def is_of_others(heading: str) -> bool:
    """Whether e-mail addresses under this heading are those of customers rather than of users."""
    said = set(words(heading).split())
    return not said.isdisjoint(OTHERS_WORDS) and not said & {"owner", "manager", "user"}


@dataclass(frozen=True, slots=True)
class HeaderGuess:
    """row: as Excel numbers it. certain: it looks like headings. score: higher names more of the columns."""

    row: int
    certain: bool
    score: float = 0.0


def find_header_row(path: Path, how: SheetOptions) -> HeaderGuess:
    """The row that holds the headings. Raises SheetError for a file that cannot be opened."""
    if find_kind(path) is Kind.TEXT:
        return _in_text(path, how)
    return likely_header(_top_of_workbook(path, how))


def likely_header(top: Sequence[TopRow]) -> HeaderGuess:
    """The header among the first rows that have content, the title rows above it left aside."""
    best: tuple[float, int, int] | None = None
    for at, (number, cells) in enumerate(top[:SEARCHED_ROWS]):
        score, known = _score(top, at), _known_words(cells)
        # Two cells `Printed by | Müller` above a table of two columns look like headings, too.
        if score > 0.0 and (best is None or known >= best[1] + 2):
            best = score, known, number
    if best is None:
        return HeaderGuess(top[0][0] if top else 1, certain=len(top) == 1)
    return HeaderGuess(best[2], certain=True, score=best[0])


def _score(top: Sequence[TopRow], at: int) -> float:
    """How much of the columns that are used below it the row names; 0 if it cannot be the header."""
    heads = {index: cell for index, cell in enumerate(top[at][1]) if cell.strip()}
    below = [cells for _, cells in top[at + 1 : at + 1 + SEARCHED_ROWS]]
    counts = Counter(index for cells in below for index, cell in enumerate(cells) if cell.strip())
    used = {index for index, count in counts.items() if 4 * count >= len(below)}
    if not heads or not used or any(map(_is_value, heads.values())):
        return 0.0
    covered = len(heads.keys() & used) / len(used)
    texts = sum(map(_could_head, heads.values())) / len(heads)
    return covered * texts if covered >= COVERED_LEAST and texts >= TEXT_LEAST else 0.0


def _is_value(cell: str) -> bool:
    """Whether a cell holds what nobody calls a column: an Id, an e-mail address, a date."""
    text = trimmed(str(cell))
    return isinstance(IdValue().read(text), str) or bool(ADDRESS.fullmatch(text) or readings(text))


def _could_head(cell: str) -> bool:
    """Whether a cell reads like a heading rather than a number or a note."""
    text = trimmed(str(cell))
    letters = type(cell) is str and len(text) <= HEADING_CHARACTERS_MAX and any(map(str.isalpha, text))
    return letters and not isinstance(NumberValue().read(text), str)


def _known_words(cells: Sequence[str]) -> int:
    """How many cells hold a word that headings usually have."""
    return sum(not HEADING_WORDS.isdisjoint(words(cell).split()) for cell in cells if 0 < len(cell) <= 40)


def _in_text(path: Path, how: SheetOptions) -> HeaderGuess:
    """The header of a text file, whose delimiter is not known yet and shows below the title rows only."""
    lines = _first_lines(path, how)
    separator = separator_line(lines[0]) if lines else None
    lines = lines if separator is None else lines[1:]
    if how.delimiter is not None or separator is not None:
        return likely_header(_records(lines, separator or delimiter_named(how.delimiter or "", path)))
    found: list[tuple[float, HeaderGuess]] = []
    for delimiter in ",;\t|":
        records = _records(lines, delimiter)
        guess = likely_header(records)
        # The sheet will be opened with that row as its header, and has to see the same columns then.
        if guess.row <= SEARCHED_ROWS and sniff_delimiter(lines, guess.row) == delimiter:
            width = next((len(cells) for number, cells in records if number == guess.row), 0)
            even = [len(cells) == width for number, cells in records if number > guess.row]
            found.append((guess.score * (sum(even) / len(even) if even else 1.0), guess))
    return max(found, key=lambda each: each[0])[1] if found else likely_header(_records(lines, ","))


def _first_lines(path: Path, how: SheetOptions) -> list[str]:
    encoding, _ = find_encoding(path, how.encoding)
    try:
        with path.open("rb") as raw:
            raw.seek(encoding.skip_bytes)
            sample = raw.read(SAMPLE_CHARACTERS)
    except OSError as error:
        raise unreadable(path, error) from error
    # What cannot be decoded is refused, with its line, when the sheet is opened.
    text = sample.decode(encoding.codec, "replace")
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)[:SAMPLE_LINES]


def _records(lines: Sequence[str], delimiter: str) -> list[TopRow]:
    """The first records with content, numbered as they will be."""
    found: list[TopRow] = []
    with contextlib.suppress(csv.Error):  # the sample may end inside a quoted cell
        for number, record in enumerate(csv.reader(lines, delimiter=delimiter, strict=True), 1):
            if any(cell.strip() for cell in record):
                found.append((number, record))
            if len(found) == TOP_ROWS:
                break
    return found


def _top_of_workbook(path: Path, how: SheetOptions) -> list[TopRow]:
    """The first rows with content, as wide as they are."""
    try:
        return _rows_from(path, replace(how, header_row=1))
    except SheetError as error:
        first = re.search(r"first row with content is (\d+)", error.remedy)
        if first is None:
            raise
    return _rows_from(path, replace(how, header_row=int(first.group(1))))


def _rows_from(path: Path, how: SheetOptions) -> list[TopRow]:
    with open_sheet(path, how) as sheet:
        first: TopRow = (sheet.header_row, sheet.header)
        # Below a title of one cell, rows would be cut to one cell.
        sheet.adopt_header(["any"] * COLUMNS_MAX, None)
        return [first, *((row.number, row.cells) for row in itertools.islice(sheet.rows(), TOP_ROWS))]
