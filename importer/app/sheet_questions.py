"""What was found in a sheet, and what the store knows of its rows, as questions and refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import SheetFindings
from importer.app.staging import no_rows
from importer.checking.survey import Finding, Survey
from importer.errors import ResultsError, SheetError, UserError
from importer.sheets import Sheet
from importer.store.batch_rows import BatchRows
from importer.store.duplicates import DuplicateCheck
from importer.store.ownership import Staging
from importer.store.records import BatchSummary, ImportedBefore, Overlap
from importer.text import be, count, local_time

HIDDEN_KIND: Final = "hidden-rows"
"""A finding that is a question of its own, with choices of its own."""
CORRECT: Final = "Correct the sheet or the mapping (`importer check` shows every problem)."


def questions_about(sheet: Sheet, found: Iterable[Finding], accepted: Collection[str]) -> Iterator[Question]:
    """What a person must decide about a sheet: rows that a filter hides, and each kind of finding that can be
    read in two ways. accepted: kinds that are fine as they are (hidden rows are then rows like others)."""
    rows = sheet.hidden_rows
    if rows and sheet.how.hidden is None and HIDDEN_KIND not in accepted:
        yield Question(
            QuestionKind.HIDDEN,
            f"{sheet.place()}: {count(rows, 'row')} {be(rows)} hidden in Excel, by a filter or by hand.",
            (
                Choice("include", "Send hidden rows too", "--hidden include"),
                Choice("skip", "Leave hidden rows out", "--hidden skip"),
            ),
            rows=rows,
        )
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


NEVER_TWICE: Final = "Nothing was sent, so that nothing is created twice."
BATCHES_NAMED_MAX: Final = 5


class ImportedBeforeError(UserError):
    """The sheet was imported before, or another batch holds rows of it open. earlier: by which batches."""

    error_code = "imported-before"

    def __init__(
        self, what: str, *, earlier: Iterable[ImportedBefore], remedy: str, command: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, remedy=remedy, command=command)
        self.earlier = tuple(earlier)


def refuse_same_sheet(same: list[BatchSummary]) -> None:
    """Raises ImportedBeforeError if there is any."""
    if not same:
        return
    summary = same[0]
    batch = summary.batch
    what = "Continue that batch:" if summary.open_rows else "It has no open row. See what it did, or retry:"
    command: tuple[str, ...] = ("resume", resumable(summary))
    if summary.erased_at is not None:
        what, command = "Its customer data was removed, so it cannot be continued.", ()
    raise ImportedBeforeError(
        f"This sheet was imported before: batch {batch.id}, {batch.source_name}, {count(batch.rows, 'row')},"
        f" started {local_time(batch.created_at)}. {NEVER_TWICE}",
        earlier=[ImportedBefore(one, one.batch.rows, whole=True) for one in same],
        remedy=f"To send the whole sheet again on purpose, use --again. {what}",
        command=command,
    )


def refuse_open_elsewhere(overlap: Overlap) -> None:
    """Raises ImportedBeforeError if other batches hold rows of this sheet open."""
    if not overlap.held:
        return
    summary, rows = overlap.held_by[0]
    raise ImportedBeforeError(
        f"{count(overlap.held, 'row')} of this sheet {be(overlap.held)} still open in another batch"
        f" ({summary.batch.id}, {summary.batch.source_name}: {rows:,}). {NEVER_TWICE}",
        earlier=[ImportedBefore(one, number, whole=False) for one, number in overlap.held_by],
        remedy="To send them here as well on purpose, use --again. Finish that batch first:",
        command=("resume", resumable(summary)),
    )


def refuse_created_since(overlap: Overlap) -> None:
    """Raises ImportedBeforeError if rows were created between the question and the answer to it."""
    if overlap.created:
        raise ImportedBeforeError(
            f"Another run has just created {count(overlap.created, 'row')} of this sheet. {NEVER_TWICE}",
            earlier=[ImportedBefore(one, number, whole=False) for one, number in overlap.created_by],
            remedy="Start again.",
        )


def refuse_sent_elsewhere(check: DuplicateCheck, rows: BatchRows) -> None:
    """For `resume`: rows that go back to be sent must not be another batch's by now. Raises ResultsError."""
    overlap = check.overlap()
    total = overlap.created + overlap.held
    if not total:
        return
    summary, _ = (overlap.created_by or overlap.held_by)[0]
    named = ", ".join(str(rows.row(one.position).number) for one in islice(check.earlier(), 10))
    raise ResultsError(
        f"{count(total, 'row')} that would be sent again{f' (rows {named})' if named else ''}"
        f" {'belongs' if total == 1 else 'belong'} to another batch by now: {summary.batch.id},"
        f" {summary.batch.source_name}. Nothing was sent.",
        remedy="Set import_status of these rows to skipped, then resume.",
    )


def overlap_question(overlap: Overlap) -> Question | None:
    """Rows that earlier batches created; None where there are none."""
    if not overlap.created:
        return None
    named = overlap.created_by[:BATCHES_NAMED_MAX]
    names = ", ".join(f"{one.batch.source_name} ({one.batch.id}): {rows:,}" for one, rows in named)
    more = len(overlap.created_by) - len(named)
    return Question(
        QuestionKind.OVERLAP,
        f"{count(overlap.created, 'row')} of this sheet {be(overlap.created)} in LeadSquared already:"
        f" {names}{f' and {more:,} more batches' if more > 0 else ''}.",
        (
            Choice("only-new", "Send only the other rows", "--only-new"),
            Choice("again", "Send all rows again, which creates duplicates", "--again"),
        ),
        rows=overlap.created,
        batch=overlap.created_by[0][0].batch.id,
    )


def take_over(staging: Staging, check: DuplicateCheck, at: str) -> int:
    """Rows that were created before end as created, with the earlier Id and without an attempt; how many."""
    earlier = list(check.earlier())
    with staging.change() as change:
        already = change.take_over(earlier, at)
        change.keep_facts(already=already)
    return already


def resumable(summary: BatchSummary) -> str:
    """How to name a batch to `resume`."""
    return summary.batch.results if Path(summary.batch.results).is_file() else summary.batch.id
