"""`propose`: a starter mapping from a sheet's own columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from importer.activity import ActivityField
from importer.app import staging
from importer.app.options import SheetInput
from importer.starter.entries import Remark
from importer.starter.entries import propose as proposal_of
from importer.starter.header import find_header_row
from importer.starter.look import local_zone, look_at_sheet
from importer.text import be, count


@dataclass(frozen=True, slots=True)
class ProposedMapping:
    """text: the YAML. fill_in: without these it cannot be used; look_at: guesses to be reviewed.

    place: file and sheet, for people. rows: how many were looked at; more: there are others. columns, mapped:
    of the sheet, and how many of them are mapped. event_known: an activity type was given or found. notices:
    about the sheet.
    """

    text: str
    place: str
    sheet: str | None
    header_row: int
    rows: int
    more: bool
    columns: int
    mapped: int
    event_known: bool
    fill_in: tuple[Remark, ...]
    look_at: tuple[Remark, ...]
    notices: tuple[str, ...]


def propose(
    sheet: SheetInput,
    *,
    event: int | None = None,
    name: str = "",
    schema_at_hand: bool = False,
    known: tuple[ActivityField, ...] = (),
) -> ProposedMapping:
    """Reads the sheet's first rows. Writes nothing. Raises SheetError.

    event: the activity type's code, None to leave it to be filled in. name: of the file that the mapping will
    be in; schema_at_hand: whether it lies where editors find its JSON Schema. known: the fields of the
    activity type (`connecting.fields_of_type`), whose names the columns then get.
    """
    header = find_header_row(sheet.path, staging.reading_options(sheet, None))
    with staging.opened_sheet(replace(sheet, header_row=sheet.header_row or header.row), None) as opened:
        findings = look_at_sheet(opened, local_zone())
        notices = list(opened.warnings)
        if not header.certain and sheet.header_row is None:
            notices.append(
                f"No row looks like headings; row {header.row} was used for them, and its values are not"
                " sent."
                " If that is wrong, give the sheet a row of headings and start again."
            )
        if opened.hidden_rows and sheet.hidden is None:
            notices.append(
                f"{count(opened.hidden_rows, 'row')} {be(opened.hidden_rows)} hidden in Excel, by a filter"
                " or by"
                " hand: `run` asks what to do with them."
            )
        proposal = proposal_of(
            findings, opened, staging.reading_options(sheet, None), name, event,
            schema_at_hand=schema_at_hand, known=known,
        )  # fmt: skip
        return ProposedMapping(
            text=proposal.text,
            place=opened.place(),
            sheet=opened.name,
            header_row=opened.header_row,
            rows=findings.rows,
            more=findings.more,
            columns=len(findings.columns),
            mapped=proposal.mapped,
            event_known=event is not None or findings.event is not None,
            fill_in=proposal.fill_in,
            look_at=proposal.look_at,
            notices=tuple(notices),
        )
