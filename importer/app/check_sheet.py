"""`check`: what can be said of a sheet before anything is sent."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from importer.activity import Activity
from importer.app import sheet_questions, staging
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.options import CheckOptions
from importer.app.records import CheckReport, FirstRows, expected_s, spoken_rate
from importer.app.staging import Digests
from importer.checking.columns import mapping_findings, option_watches
from importer.checking.survey import Survey
from importer.mapping.choices import Resolved
from importer.mapping.mapping import Mapping
from importer.mapping.row_mapper import RowMapper
from importer.settings import load_rate
from importer.sheets import Sheet
from importer.store.store import Store

if TYPE_CHECKING:
    from importer.app.connecting import TypeFields
    from importer.checking.marked_sheet import MarkedSheet

SHOW_EVERY_ROWS: Final = 1_000


async def check(options: CheckOptions, store: Store, observer: Observer = SILENT) -> CheckReport:
    """Reads and maps every row. Offline but with `options.online`; nothing is left behind.

    Raises SheetError, MappingError, SettingsError, with `online` TenantError.
    """
    rate = load_rate(options.calls.rate)
    mapping = staging.loaded_mapping(options.mapping)
    with ExitStack() as stack:
        sheet = stack.enter_context(staging.opened_sheet(options.sheet, mapping))
        mapper = staging.bound(mapping, sheet, options.sheet)
        accepted = mapping.accept.union(options.accept)
        resolved, fields = await _answers(options, mapping, mapper, sheet, observer)
        survey = _survey(mapping, mapper, accepted, fields)
        comparable = resolved is not None or not mapper.needs_lookups
        known = store.recognition()
        marked: MarkedSheet | None = None
        if options.marked_copy is not None:
            from importer.checking.marked_sheet import marked_sheet  # needs xlsxwriter

            marked = stack.enter_context(marked_sheet(options.marked_copy, sheet))
        digests = Digests()
        for row in staging.rows_of(sheet, options.sheet):
            mapped = mapper.map(row, resolved)
            survey.take(row, mapped)
            # Before lookups only the sheet as a whole is known.
            body = mapped.encoded() if comparable and isinstance(mapped, Activity) else None
            if known_by := digests.add(row.cells, body):
                known.add(known_by)
            if marked is not None:
                marked.write(row, () if isinstance(mapped, Activity) else mapped)
            if survey.rows % SHOW_EVERY_ROWS == 0:
                invalid = {"invalid": survey.invalid} if survey.invalid else {}
                observer.progress(Progress(Stage.READING, survey.rows, counts=invalid))
        survey.close(sheet)
        if survey.rows == 0:
            raise staging.no_rows(sheet)
        if marked is not None:
            marked.finish(survey)
        found = sheet_questions.findings_of(survey)
        return CheckReport(
            place=sheet.place(),
            rows=survey.rows,
            valid=survey.valid,
            seconds=expected_s(survey.valid, rate),
            rate=spoken_rate(rate),
            findings=found,
            questions=tuple(sheet_questions.questions_about(sheet, found.questions, accepted)),
            invalid_question=sheet_questions.invalid_question(survey, sheet, trial=False),
            first=FirstRows(mapper.fields, tuple(survey.first)),
            imported_before=tuple(known.found(digests.content if comparable else "", digests.source_cells)),
            looked_up=comparable,
            marked_copy=options.marked_copy,
        )


def _survey(mapping: Mapping, mapper: RowMapper, accepted: frozenset[str], fields: TypeFields) -> Survey:
    """A survey that knows what LeadSquared says about the activity types."""
    survey = Survey(mapper, accepted, [each for _, known in fields for each in option_watches(mapper, known)])
    for code, known in fields:
        for finding in mapping_findings(mapping.fields, mapping.marker, code, known):
            survey.add_whole(finding)
    return survey


async def _answers(
    options: CheckOptions, mapping: Mapping, mapper: RowMapper, sheet: Sheet, observer: Observer
) -> tuple[Resolved | None, TypeFields]:
    """With `--online`, what LeadSquared (or the embedded sandbox, which knows everybody who is asked for)
    says to the values that are looked up, and about the activity types."""
    if not options.online:
        return None, []
    # All that calls LeadSquared takes as long to load as a small sheet to check.
    from importer.app.connecting import asked_fields, looked_up, session

    asked = staging.asked_values(staging.rows_of(sheet, options.sheet), mapper)
    async with session(options.calls, asked=asked) as opened:
        tenant = opened.connection.tenant
        return await looked_up(tenant, asked, observer), await asked_fields(tenant, mapping)
