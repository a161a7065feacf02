"""What a person reads, and is asked, about each column: the entries of a proposed mapping."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rapidfuzz import process

from importer.activity import ActivityField
from importer.mapping.builder import DELIMITERS
from importer.mapping.model import SCHEMA_FILE
from importer.mapping.round_trip import scalar
from importer.sheets import Sheet, SheetOptions
from importer.starter.columns import Holds, Setting
from importer.starter.heading_words import ALIKE_LEAST, Role, words
from importer.starter.look import CODED, Column, Guesses, best_of
from importer.starter.writing import Entry, Proposal, commented, rendered
from importer.starter.zone import UNKNOWN_ZONE
from importer.text import quoted

PROPOSED_MAX: Final = 1_000
COLUMNS_SHOWN_MAX: Final = 2_000
EXAMPLE_CODE: Final = 10001
WHERE_CODES_ARE: Final = "Settings > Accounts Customization"
_BY_CODE: Final[dict[str, Setting]] = {
    "lookup": "account", "company_type": "Account", "by": "mx_Account_Code",
}  # fmt: skip


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
    head = _head(findings, sheet, asked, schema_at_hand=schema_at_hand)
    return rendered(head, entries_of(findings, event, known), name)


def entries_of(findings: Guesses, event: int | None, known: Sequence[ActivityField] = ()) -> list[Entry]:
    """The mapping's entries, in their order."""
    return [
        _account_entry(findings),
        _event_entry(findings, event),
        *_note_entries(findings),
        *_field_entries(findings, event, _schema_names(findings, known), known_names=bool(known)),
    ]


def _head(findings: Guesses, sheet: Sheet, asked: SheetOptions, *, schema_at_hand: bool) -> list[str]:
    hint = f"`importer schema > {SCHEMA_FILE}` lets your editor help; then the first line here should be:"
    mark = "" if schema_at_hand else "# "
    lines = [] if schema_at_hand else commented(hint)
    rows = "1 row" if findings.rows == 1 else f"{findings.rows:,} rows"
    read = f"the first {rows}; further rows were not read" if findings.more else rows
    return [
        *lines,
        f"{mark}# yaml-language-server: $schema={SCHEMA_FILE}",
        *commented(f"Written by `importer init` from {quoted(sheet.place(), 200)[1:-1]} ({read})."),
        *commented(
            "A # makes the rest of its line a comment: delete it before a field to send that column. CHECK"
            " marks a guess: please review it."
        ),
        f"name: {scalar(sheet.path.stem)}",
        *_reading(sheet, asked),
    ]


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
    names = [codecs.lookup(each.strip()).name for each in (asked, found)]
    for ending in ("-sig", "-le", "-be"):
        names = [each.removesuffix(ending) for each in names]
    return names[0] == names[1]


def _about(column: Column) -> str:
    """The comment that says which column it is, and what it holds."""
    shown = ", ".join(column.values.samples())
    what = "" if column.guess.holds in {Holds.TEXT, Holds.NOTHING} else f", {column.guess.holds.value}"
    return f"Column {column.letters}{what}: {shown or 'no values in the rows that were read'}"


def _account_entry(findings: Guesses) -> Entry:
    key, column = "RelatedCompanyId", findings.account
    if column is None:
        hint = (
            "Which account the activity belongs to. Codes can be looked up: {column: Account code,"
            " lookup: account, company_type: Account, by: mx_Account_Code}"
        )
        missing = "no column seems to hold the account of a row; write the heading of the one that does"
        return Entry(key, comments=(hint,), fill_in=missing)
    settings, doubts = _account_found(column)
    empty = findings.rows - column.values.filled
    if empty:
        rows = f"{empty:,} of {findings.rows:,} rows"
        doubts.append(f"There is no value here in {rows}; `importer check` names them.")
    return Entry(key, column.heading, settings=settings, comments=(_about(column),), doubts=tuple(doubts))


def _account_found(column: Column) -> tuple[dict[str, Setting], list[str]]:
    """How a column says which account it is, and what is doubtful about that."""
    heading = quoted(column.heading)
    named = column.sounds_like(Role.ACCOUNT_ID, Role.ACCOUNT_CODE)
    if column.guess.holds is Holds.ID or not column.values.filled:
        taken = f"{heading} is used as the account because it holds Ids."
        unnamed = not named and not column.sounds_like(Role.ACCOUNT_NAME)
        return {}, [*column.guess.doubts, *([taken] if unnamed else [])]
    if named:
        doubt = (
            f"{heading} holds codes, not Ids, so LeadSquared is asked for each account. `by` must be the"
            " schema name of the account field that holds the code, `company_type` the account type's name"
            f" ({WHERE_CODES_ARE})."
        )
        return _BY_CODE, [doubt]
    doubt = (
        f"{heading} holds names, so LeadSquared is asked for the account of that name; a name that two"
        " accounts have is a problem of the row. Ids or codes are safer. `company_type` is the account type's"
        f" name ({WHERE_CODES_ARE})."
    )
    return {**_BY_CODE, "by": "CompanyName"}, [doubt]


def _event_entry(findings: Guesses, event: int | None) -> Entry:
    key = "ActivityEvent"
    if event is not None:
        return Entry(key, value=str(event), comments=("The activity type's code.",))
    if findings.event is not None:
        taken = f"The codes of the activity types are read from {quoted(findings.event.heading)}."
        return Entry(key, findings.event.heading, comments=(_about(findings.event),), doubts=(taken,))
    kinds = [each for each in findings.columns if each.guess.holds is Holds.CHOICE and not each.unusable]
    kind = best_of(kinds, Role.EVENT, Role.KIND)
    comments: tuple[str, ...] = ()
    if kind is not None:
        named = kind.guess.settings["one_of"]
        codes = ", ".join(f"{scalar(word)}: {EXAMPLE_CODE + at}" for at, word in enumerate(named))
        example = f"{{column: {scalar(kind.heading)}, values: {{{codes}}}}}"
        comments = (f"One code for each kind, for example: {example}",)
    missing = f"the code of the activity type, a number such as {EXAMPLE_CODE} ({WHERE_CODES_ARE})"
    return Entry(key, comments=comments, fill_in=missing)


def _note_entries(findings: Guesses) -> Iterator[Entry]:
    if findings.note is not None:
        comments = (_about(findings.note), 'Several columns: {template: "{Outcome}: {Remarks}"}')
        yield Entry("ActivityNote", findings.note.heading, comments=comments)


def _schema_names(findings: Guesses, known: Sequence[ActivityField]) -> dict[int, str]:
    """The field of the activity type that each column sounds like, by the column's place."""
    free = {words(field.display_name): field.schema_name for field in known}
    found: dict[int, str] = {}
    for column in findings.columns:
        near = process.extractOne(words(column.heading), list(free), score_cutoff=ALIKE_LEAST)
        if near is not None and not column.unusable:
            found[column.index] = free.pop(near[0])
    return found


def _field_entries(
    findings: Guesses, event: int | None, names: Mapping[int, str], *, known_names: bool
) -> Iterator[Entry]:
    """The activity's fields: an entry for every column that has no other part to play. names: schema names
    by the column's place; with known_names a column without one is left as a comment."""
    example = "A field that is the same for every row looks like this:"
    yield Entry("Status", settings={"value": "Active"}, active=False, in_fields=True, comments=(example,))
    parts = [findings.account, findings.note, *([findings.event] if event is None else [])]
    used = {each.index for each in parts if each is not None}
    pairs = {date.index: time for date, time in findings.pairs if date.index not in used}
    used |= {time.index for time in pairs.values()}
    named = active = 0
    for column in findings.columns[:COLUMNS_SHOWN_MAX]:
        if column.index in used:
            continue
        if column.unusable:
            called = f" {quoted(column.heading)}" if column.heading else ""
            comment = f"{_about(column)}. Left out{called}: {column.unusable}."
            yield Entry("", in_fields=True, active=False, comments=(comment,))
        elif column is findings.owner:
            yield _owner_entry(column)
        else:
            named += 1
            key = names.get(column.index, f"mx_Custom_{named}")
            is_known = column.index in names
            typed = active < PROPOSED_MAX and (is_known if known_names else column.is_typed)
            active += typed
            first = typed and active == 1 and not known_names
            if typed and column.index in pairs:
                yield _pair_entry(findings, column, pairs[column.index], key, first=first)
            else:
                yield _custom_entry(findings, column, key, active=typed, first=first)
    if len(findings.columns) > COLUMNS_SHOWN_MAX:
        rest = len(findings.columns) - COLUMNS_SHOWN_MAX
        yield Entry("", in_fields=True, active=False, comments=(f"… and {rest:,} more columns.",))


def _owner_entry(column: Column) -> Entry:
    by_id = column.guess.holds is Holds.ID
    settings: dict[str, Setting] = {"type": "id"} if by_id else {"lookup": "user", "by": "EmailAddress"}
    doubts = column.guess.doubts
    if not column.sounds_like(Role.OWNER):
        taken = (
            f"{quoted(column.heading)} is used as the activity's owner because it holds e-mail addresses;"
            " each must be that of a LeadSquared user."
        )
        doubts = (taken, *doubts)
    return Entry(
        "Owner", column.heading, settings=settings, comments=(_about(column),), doubts=doubts, in_fields=True
    )


def _pair_entry(findings: Guesses, date: Column, time: Column, key: str, *, first: bool) -> Entry:
    """A date and a time of day in two columns: one date-time."""
    settings: dict[str, Setting] = {"template": f"{{{date.heading}}} {{{time.heading}}}", "type": "datetime"}
    given = date.guess.settings.get("format", ())
    dates = (given,) if isinstance(given, str) else given
    times = time.guess.settings["format"]
    if dates:
        formats = [*(f"{each} {times[0]}" for each in dates), *(f"{dates[0]} {each}" for each in times[1:])]
        settings["format"] = tuple(formats) if len(formats) > 1 else formats[0]
    settings["timezone"] = findings.zone or UNKNOWN_ZONE
    doubts = (*_naming(first=first), *date.guess.doubts, _zone_doubt(findings))
    comments = ("; ".join((_about(date), *date.guess.why)), _about(time))
    return Entry(key, date.heading, settings=settings, comments=comments, doubts=doubts, in_fields=True)


def _custom_entry(findings: Guesses, column: Column, key: str, *, active: bool, first: bool) -> Entry:
    """A field whose schema name nobody can see in a sheet."""
    guess = column.guess
    doubts = (*_naming(first=first), *(guess.doubts if active else ()))
    if active and guess.holds is Holds.DATETIME:
        doubts = (*doubts, _zone_doubt(findings))
    settings = {} if guess.holds is Holds.TIME else guess.settings
    return Entry(
        key, column.heading, settings=settings, active=active, in_fields=True, doubts=doubts,
        comments=tuple(_about_custom(findings, column)),
    )  # fmt: skip


def _naming(*, first: bool) -> tuple[str, ...]:
    text = (
        "The mx_Custom_ names here only count the columns: replace them by the schema names of your activity"
        f" type ({WHERE_CODES_ARE})."
    )
    return (text,) if first else ()


def _zone_doubt(findings: Guesses) -> str:
    zone = findings.zone
    known = f"{zone} is this computer's time zone" if zone else "This computer's time zone is not known"
    return f"{known}; `timezone` must be the time zone of the sheet's dates."


def _about_custom(findings: Guesses, column: Column) -> Iterator[str]:
    guess = column.guess
    yield "; ".join((_about(column), *guess.why))
    if guess.holds is Holds.EMAIL:
        yield "If these are users of LeadSquared, add lookup: user, by: EmailAddress."
    if guess.holds is Holds.TIME:
        yield 'With a column of dates it is one value: {template: "{Date} {Time}", type: datetime, …}'
    if findings.account is not None and guess.holds in CODED and column.sounds_like(Role.ACCOUNT_CODE):
        yield (
            "Accounts can be found by this code instead: RelatedCompanyId:"
            f" {{column: {scalar(column.heading)}, lookup: account, company_type: Account,"
            " by: mx_Account_Code}"
        )
    if column.is_typed and column.heading.strip().casefold() == "status":
        yield "If this is the activity's own status, call the field Status."
