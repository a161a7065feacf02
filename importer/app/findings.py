"""From what was found in a sheet to questions and refusals: the same for `check`, `run` and the screen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import FirstRows, SheetFindings
from importer.app.sheet_input import no_rows
from importer.checking.findings import Finding
from importer.checking.survey import Survey
from importer.errors import SheetError
from importer.mapping.row_mapper import RowMapper
from importer.sheets import Sheet
from importer.wording import be, count

HIDDEN_KIND: Final = "hidden-rows"
"""A finding that is a question of its own, with choices of its own."""
CORRECT: Final = "Correct the sheet or the mapping (`importer check` shows every problem)."


def accept_questions(found: Iterable[Finding]) -> Iterator[Question]:
    """One question for each kind of finding that can be read in two ways."""
    by_kind: dict[str, list[Finding]] = {}
    for one in found:
        if one.kind != HIDDEN_KIND:
            by_kind.setdefault(one.kind, []).append(one)
    for kind, findings in by_kind.items():
        first = findings[0]
        heading = f"{first.column}: " if first.column else ""
        yield Question(
            QuestionKind.ACCEPT,
            f"{heading}{first.cells_text()}: {first.message} {first.remedy}".rstrip(),
            (Choice("accept", "It is fine as it is", f"--accept {kind}"),),
            f"--accept {kind} (it is fine as it is), or settle it in the mapping",
            subject=kind,
            details=tuple(f"{one.column or 'Rows'}: {one.cells_text()}" for one in findings[1:]),
            rows=sum(one.count for one in findings),
        )


def invalid_question(survey: Survey, sheet: Sheet, *, trial: bool) -> Question | None:
    """Whether to send the others; None where all rows are valid. trial: with `--limit`, rows that are only
    totals, repeated headings or footers are nobody's question."""
    if not survey.invalid or (trial and not survey.records_invalid):
        return None
    return Question(
        QuestionKind.INVALID,
        f"{sheet.place()}: {count(survey.invalid, 'row')} {be(survey.invalid)} invalid. {CORRECT}",
        (Choice("skip", "Send the other rows", "--skip-invalid"),),
        "--skip-invalid (send the other rows)",
        rows=survey.invalid,
    )


def refuse_unsendable(survey: Survey, sheet: Sheet) -> None:
    """Raises SheetError when there is nothing to send."""
    if survey.rows == 0:
        raise no_rows(sheet)
    if not survey.valid:
        raise SheetError("No row is valid, so nothing was sent.", where=sheet.place(), remedy=CORRECT)


def findings_of(survey: Survey) -> SheetFindings:
    """What was found, grouped."""
    return SheetFindings(
        tuple(survey.problems.all()), tuple(survey.questions.all()), tuple(survey.notices.all())
    )


def first_rows(survey: Survey, mapper: RowMapper) -> FirstRows:
    """A preview."""
    return FirstRows(tuple(mapper.describe()), tuple(survey.first))


def hidden_question(sheet: Sheet, accepted: Collection[str]) -> Question | None:
    """What to do with rows that a filter hides; None where there are none, or it is decided. accepted: kinds
    that are fine as they are (hidden rows are then rows like others)."""
    if not sheet.hidden_rows or sheet.how.hidden is not None or HIDDEN_KIND in accepted:
        return None
    rows = sheet.hidden_rows
    return Question(
        QuestionKind.HIDDEN,
        f"{sheet.place()}: {count(rows, 'row')} {be(rows)} hidden in Excel, by a filter or by hand.",
        (
            Choice("include", "Send hidden rows too", "--hidden include"),
            Choice("skip", "Leave hidden rows out", "--hidden skip"),
        ),
        "--hidden include (send hidden rows too) or --hidden skip (leave them out)",
        rows=rows,
    )
