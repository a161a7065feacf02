"""A proposed mapping: an entry for each column, with what a person reads and is asked about it, and its text.

Written line by line rather than by a YAML library, since commented-out entries have to be between the
others, ready to be used once the `#` is gone. Each text goes through `scalar`, and the whole is parsed again
by the mapping's own reader before anybody gets it.
"""

from __future__ import annotations

import codecs
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rapidfuzz import process

from importer.activity import ACCOUNT, EVENT, NOTE, ActivityField
from importer.mapping.model import DELIMITERS, SCHEMA_FILE
from importer.mapping.yaml_file import LINE_LENGTH, SIZE_MAX_BYTES, Document, entry_lines, scalar
from importer.sheets import Sheet, SheetOptions
from importer.starter.columns import SAMPLE_LENGTH, Column, Holds, Setting
from importer.starter.header import ALIKE_LEAST, Role, words
from importer.starter.look import CODED, UNKNOWN_ZONE, Guesses, best_of
from importer.text import count, listed, quoted

PROPOSED_MAX: Final = 1_000
COLUMNS_SHOWN_MAX: Final = 2_000
SAMPLES_FROM: Final = 48
SAMPLES_SHOWN: Final = 3
EXAMPLE_CODE: Final = 10001
WHERE_CODES_ARE: Final = "Settings > Accounts Customization"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line or block of the mapping.

    key: `RelatedCompanyId`, a schema name, …; "" for a comment alone. column: the one it is about, if any.
    settings: the keys of its block besides `column`; a text is there instead of a block. active: False
    writes it as a comment. comments: sentences above it; doubts: the same, for a person to look at.
    fill_in: what is missing there; the value then stays empty, and `check` refuses the mapping.
    """

    key: str
    column: Column | None = None
    settings: dict[str, Setting] = field(default_factory=dict)
    value: str = ""
    active: bool = True
    comments: Sequence[str] = ()
    doubts: Sequence[str] = ()
    fill_in: str = ""


class Remark(NamedTuple):
    """Something to fill in or to look at. line: in the written file. key: of the entry. column: or None."""

    line: int
    key: str
    column: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """text: the mapping. fill_in: without these it cannot be used. look_at: guesses to be reviewed. entries:
    what it consists of. mapped: how many columns it uses."""

    text: str
    fill_in: tuple[Remark, ...]
    look_at: tuple[Remark, ...]
    entries: tuple[Entry, ...]
    mapped: int


def propose(
    findings: Guesses,
    sheet: Sheet,
    asked: SheetOptions,
    name: str,
    event: int | None,
    *,
    schema_at_hand: bool,
    known: Sequence[ActivityField] = (),
) -> Proposal:
    """The mapping for the sheet.

    asked: how the person wanted the sheet to be read, which the mapping keeps. name: the mapping file's.
    event: the activity type's code, None if it is not known. schema_at_hand: the JSON Schema is beside it.
    known: the fields of the activity type, as far as LeadSquared says them; columns then get their names.
    """
    places = (_account_entry(findings), _event_entry(findings, event), *_note_entries(findings))
    fields = tuple(_field_entries(findings, event, known))
    lines = list(_head(findings, sheet, asked, schema_at_hand=schema_at_hand))
    fill_in: list[Remark] = []
    look_at: list[Remark] = []
    for entry in places:
        _write(entry, lines, fill_in, look_at)
    # A block without entries is none: then its key is a comment as well.
    lines += ["", "Fields:" if any(each.active for each in fields) else "# Fields:"]
    for entry in fields:
        _write(entry, lines, fill_in, look_at, indent="  ")
    text = "\n".join(lines) + "\n"
    document = Document(text, name)
    if document.mistakes or len(text.encode()) > SIZE_MAX_BYTES:
        raise AssertionError(f"the proposed mapping cannot be read: {document.mistakes[:3]}")
    used = [entry for entry in (*places, *fields) if entry.active and entry.column]
    pairs = sum("template" in entry.settings for entry in used)
    return Proposal(text, tuple(fill_in), tuple(look_at), (*places, *fields), len(used) + pairs)


def _write(
    entry: Entry, lines: list[str], fill_in: list[Remark], look_at: list[Remark], indent: str = ""
) -> None:
    """Add the entry to the lines, and what a person has to do to the remarks."""
    missing = [f"FILL IN: {entry.fill_in}"] if entry.fill_in else []
    sentences = [*entry.comments, *(f"CHECK: {doubt}" for doubt in entry.doubts), *missing]
    above = [line for sentence in sentences for line in _commented(sentence, indent)]
    lines += ["", *above] if above and not lines[-1].endswith("Fields:") else above
    heading = entry.column.heading if entry.column else None
    line = len(lines) + 1
    fill_in += [Remark(line, entry.key, heading, entry.fill_in)] if entry.fill_in else []
    look_at += [Remark(line, entry.key, heading, doubt) for doubt in entry.doubts]
    mark = "" if entry.active else "# "
    lines += [f"{indent}{mark}{line}" for line in _block(entry)] if entry.key else []


def _commented(sentence: str, indent: str = "") -> list[str]:
    """A sentence as comment lines."""
    mark = f"{indent}# "
    return textwrap.wrap(
        sentence, LINE_LENGTH, initial_indent=mark, subsequent_indent=mark, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _block(entry: Entry) -> list[str]:
    """The entry on one line if it fits, else as a block."""
    heading = None if entry.column is None else entry.column.heading
    if entry.settings:
        column = {} if heading is None or "template" in entry.settings else {"column": heading}
        return entry_lines(entry.key, {**column, **entry.settings}, 0)
    if heading is None:
        return [f"{entry.key}: {entry.value}".rstrip()]
    # For an activity type a plain number would be the code itself, not a column of that name.
    return entry_lines(entry.key, {"column": heading} if entry.key == EVENT else heading, 0)


def _head(findings: Guesses, sheet: Sheet, asked: SheetOptions, *, schema_at_hand: bool) -> Iterator[str]:
    if not schema_at_hand:
        yield from _commented(
            f"`importer schema > {SCHEMA_FILE}` lets your editor help; then the first line here should be:"
        )
    yield f"{'' if schema_at_hand else '# '}# yaml-language-server: $schema={SCHEMA_FILE}"
    rows = count(findings.rows, "row")
    read = f"the first {rows}; further rows were not read" if findings.more else rows
    yield from _commented(f"Written by `importer init` from {quoted(sheet.place(), 200)[1:-1]} ({read}).")
    yield from _commented(
        "A # makes the rest of its line a comment: delete it before a field to send that column. CHECK"
        " marks a guess: please review it."
    )
    yield f"name: {scalar(sheet.path.stem)}"
    yield from _reading(sheet, asked)


def _reading(sheet: Sheet, asked: SheetOptions) -> Iterator[str]:
    """How the sheet is read, where that is not obvious."""
    if asked.sheet is not None and sheet.name is not None:
        yield f"sheet: {scalar(sheet.name)}"
    if asked.encoding is not None and sheet.encoding is not None and _same(asked.encoding, sheet.encoding):
        yield f"encoding: {scalar(asked.encoding.strip())}"
    if sheet.delimiter is not None and (asked.delimiter is not None or sheet.delimiter != ","):
        names = {mark: word for word, mark in DELIMITERS.items() if word.isalpha()}
        if sheet.delimiter in names:
            yield f"delimiter: {names[sheet.delimiter]}"
        else:
            yield f"# A mapping cannot name this delimiter: always use --delimiter {quoted(sheet.delimiter)}."
    if sheet.header_row != 1:
        yield f"header_row: {sheet.header_row}"


def _same(asked: str, found: str) -> bool:
    """Whether the file is read as asked: a byte order mark overrules what a person says."""
    one, other = (re.sub("-(sig|le|be)$", "", codecs.lookup(each.strip()).name) for each in (asked, found))
    return one == other


def _about(column: Column) -> str:
    """The comment that says which column it is, and what it holds."""
    samples = dict.fromkeys(quoted(str(each.cell), SAMPLE_LENGTH) for each in column.seen[:SAMPLES_FROM])
    shown = ", ".join(list(samples)[:SAMPLES_SHOWN]) or "no values in the rows that were read"
    what = "" if column.guess.holds in {Holds.TEXT, Holds.NOTHING} else f", {column.guess.holds.value}"
    return f"Column {column.letters}{what}: {shown}"


def _account_entry(findings: Guesses) -> Entry:
    column = findings.account
    if column is None:
        hint = (
            "Which account the activity belongs to. Codes can be looked up: {column: Account code,"
            " lookup: account, company_type: Account, by: mx_Account_Code}"
        )
        missing = "no column seems to hold the account of a row; write the heading of the one that does"
        return Entry(ACCOUNT, comments=(hint,), fill_in=missing)
    ids = [each for each in findings.columns if each.guess.holds is Holds.ID and each is not column]
    settings, doubts = _account_found(column, [each.heading for each in ids])
    empty = findings.rows - column.filled
    if empty:
        rows = f"{empty:,} of {findings.rows:,} rows"
        doubts = [*doubts, f"There is no value here in {rows}; `importer check` names them."]
    return Entry(ACCOUNT, column, settings, comments=(_about(column),), doubts=doubts)


def _account_found(column: Column, others: Sequence[str]) -> tuple[dict[str, Setting], Sequence[str]]:
    """How a column says which account it is, and what is doubtful about that. others: headings of other
    columns that hold Ids."""
    heading = quoted(column.heading)
    named = column.sounds_like(Role.ACCOUNT_ID, Role.ACCOUNT_CODE)
    if column.guess.holds is Holds.ID or not column.filled:
        taken = f"{heading} is used as the account because it holds Ids."
        if others:
            taken += f" So do others ({listed([quoted(other) for other in others], 3)}): is it the right one?"
        unnamed = not named and not column.sounds_like(Role.ACCOUNT_NAME)
        return {}, (*column.guess.doubts, *([taken] if unnamed else []))
    doubt = (
        f"{heading} holds codes, not Ids, so LeadSquared is asked for each account. `by` must be the schema"
        " name of the account field that holds the code, `company_type` the account type's name"
        if named
        else f"{heading} holds names, so LeadSquared is asked for the account of that name; a name that two"
        " accounts have is a problem of the row. Ids or codes are safer. `company_type` is the account type's"
        " name"
    )
    by = "mx_Account_Code" if named else "CompanyName"
    settings: dict[str, Setting] = {"lookup": "account", "company_type": "Account", "by": by}
    return settings, [f"{doubt} ({WHERE_CODES_ARE})."]


def _event_entry(findings: Guesses, event: int | None) -> Entry:
    if event is not None:
        return Entry(EVENT, value=str(event), comments=("The activity type's code.",))
    if findings.event is not None:
        taken = f"The codes of the activity types are read from {quoted(findings.event.heading)}."
        return Entry(EVENT, findings.event, comments=(_about(findings.event),), doubts=(taken,))
    kinds = [each for each in findings.columns if each.guess.holds is Holds.CHOICE and not each.unusable]
    kind = best_of(kinds, Role.EVENT, Role.KIND)
    comments: tuple[str, ...] = ()
    if kind is not None:
        named = kind.guess.settings["one_of"]
        codes = ", ".join(f"{scalar(word)}: {EXAMPLE_CODE + at}" for at, word in enumerate(named))
        example = f"{{column: {scalar(kind.heading)}, values: {{{codes}}}}}"
        comments = (f"One code for each kind, for example: {example}",)
    missing = f"the code of the activity type, a number such as {EXAMPLE_CODE} ({WHERE_CODES_ARE})"
    return Entry(EVENT, comments=comments, fill_in=missing)


def _note_entries(findings: Guesses) -> Iterator[Entry]:
    if findings.note is not None:
        comments = (_about(findings.note), 'Several columns: {template: "{Outcome}: {Remarks}"}')
        yield Entry(NOTE, findings.note, comments=comments)


def _schema_names(findings: Guesses, known: Sequence[ActivityField]) -> dict[int, str]:
    """The field of the activity type that each column sounds like, by the column's place."""
    free = {words(field.display_name): field.schema_name for field in known}
    found: dict[int, str] = {}
    for column in findings.columns:
        near = process.extractOne(words(column.heading), list(free), score_cutoff=ALIKE_LEAST)
        if near is not None and not column.unusable:
            found[column.index] = free.pop(near[0])
    return found


def _field_entries(findings: Guesses, event: int | None, known: Sequence[ActivityField]) -> Iterator[Entry]:
    """The activity's fields: an entry for every column that has no other part to play. Where the fields of
    the activity type are known, a column that is none of them is left as a comment."""
    names = _schema_names(findings, known)
    example = "A field that is the same for every row looks like this:"
    yield Entry("Status", settings={"value": "Active"}, active=False, comments=(example,))
    parts = [findings.account, findings.note, *([findings.event] if event is None else [])]
    used = {each.index for each in parts if each is not None}
    times = {at: time for at, time in findings.times.items() if at not in used}
    used |= {time.index for time in times.values()}
    named = active = 0
    for column in findings.columns[:COLUMNS_SHOWN_MAX]:
        if column.index in used:
            continue
        if column.unusable:
            called = f" {quoted(column.heading)}" if column.heading else ""
            left_out = f"{_about(column)}. Left out{called}: {column.unusable}."
            yield Entry("", active=False, comments=(left_out,))
        elif column is findings.owner:
            yield _owner_entry(column)
        else:
            named += 1
            typed = active < PROPOSED_MAX and (column.index in names if known else column.is_typed)
            active += typed
            key = names.get(column.index, f"mx_Custom_{named}")
            naming = (_NAMES_TO_REPLACE,) if typed and active == 1 and not known else ()
            time = times.get(column.index) if typed else None
            yield _custom_entry(findings, column, time, key, naming, active=typed)
    if len(findings.columns) > COLUMNS_SHOWN_MAX:
        rest = len(findings.columns) - COLUMNS_SHOWN_MAX
        yield Entry("", active=False, comments=(f"… and {rest:,} more columns.",))


_NAMES_TO_REPLACE: Final = (
    "The mx_Custom_ names here only count the columns: replace them by the schema names of your activity"
    f" type ({WHERE_CODES_ARE})."
)


def _owner_entry(column: Column) -> Entry:
    by_id = column.guess.holds is Holds.ID
    settings: dict[str, Setting] = {"type": "id"} if by_id else {"lookup": "user", "by": "EmailAddress"}
    taken = (
        f"{quoted(column.heading)} is used as the activity's owner because it holds e-mail addresses;"
        " each must be that of a LeadSquared user."
    )
    doubts = (*([] if column.sounds_like(Role.OWNER) else [taken]), *column.guess.doubts)
    return Entry("Owner", column, settings, comments=(_about(column),), doubts=doubts)


def _custom_entry(
    findings: Guesses, column: Column, time: Column | None, key: str, naming: Sequence[str], *, active: bool
) -> Entry:
    """A field whose schema name nobody can see in a sheet. time: the column of times of day that makes a
    date-time of it."""
    guess = column.guess
    settings = {} if guess.holds is Holds.TIME else guess.settings
    comments = ["; ".join(filter(None, (_about(column), guess.why)))]
    if time is not None:
        settings = _pair_settings(column, time, findings.zone or UNKNOWN_ZONE)
        comments.append(_about(time))
    else:
        comments += _hints(column, findings)
    doubts = (*naming, *(guess.doubts if active else ()))
    if active and (time is not None or guess.holds is Holds.DATETIME):
        zone = findings.zone
        about = f"{zone} is this computer's time zone" if zone else "This computer's time zone is not known"
        doubts = (*doubts, f"{about}; `timezone` must be the time zone of the sheet's dates.")
    return Entry(key, column, settings, active=active, comments=comments, doubts=doubts)


def _pair_settings(date: Column, time: Column, zone: str) -> dict[str, Setting]:
    """A date and a time of day in two columns: one date-time."""
    settings: dict[str, Setting] = {"template": f"{{{date.heading}}} {{{time.heading}}}", "type": "datetime"}
    given = date.guess.settings.get("format", ())
    dates = (given,) if isinstance(given, str) else given
    times = time.guess.settings["format"]
    if dates:
        formats = (*(f"{each} {times[0]}" for each in dates), *(f"{dates[0]} {each}" for each in times[1:]))
        settings["format"] = formats if len(formats) > 1 else formats[0]
    return {**settings, "timezone": zone}


def _hints(column: Column, findings: Guesses) -> Iterator[str]:
    """What else the column could be."""
    holds = column.guess.holds
    if holds is Holds.EMAIL:
        yield "If these are users of LeadSquared, add lookup: user, by: EmailAddress."
    if holds is Holds.TIME:
        yield 'With a column of dates it is one value: {template: "{Date} {Time}", type: datetime, …}'
    if findings.account is not None and holds in CODED and column.sounds_like(Role.ACCOUNT_CODE):
        yield (
            "Accounts can be found by this code instead: RelatedCompanyId:"
            f" {{column: {scalar(column.heading)}, lookup: account, company_type: Account,"
            " by: mx_Account_Code}"
        )
    if column.is_typed and column.heading.strip().casefold() == "status":
        yield "If this is the activity's own status, call the field Status."
