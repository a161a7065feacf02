"""A starter mapping as records, for forms: what each column seems to be, and why; and the same as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from importer.sheets import Sheet, SheetOptions
from importer.starter.columns import Setting
from importer.starter.entries import entries_of, propose
from importer.starter.look import Column, look_at_sheet
from importer.starter.writing import Proposal
from importer.starter.zone import UNKNOWN_ZONE


@dataclass(frozen=True, slots=True)
class FieldProposal:
    """What one column becomes.

    key: a place of the mapping, a schema name; "" where nothing is proposed. column: its heading. settings:
    further keys of its block. active: False where it is proposed as a comment only. doubts: why it is a
    guess. samples: up to three values as they are shown. letters: Excel's name of the column. holds:
    `dates`, `codes`.
    """

    key: str
    column: str
    settings: Mapping[str, Setting]
    active: bool
    doubts: tuple[str, ...]
    samples: tuple[str, ...]
    letters: str
    holds: str


@dataclass(frozen=True, slots=True)
class Proposals:
    """fields: one for each column that has a heading of its own, from left to right. text: the same as a
    mapping's text, with what has to be filled in."""

    fields: tuple[FieldProposal, ...]
    text: Proposal


def proposals(sheet: Sheet, how: SheetOptions, *, name: str, zone: str | None) -> Proposals:
    """Reads the sheet's first rows. name: the mapping file's. zone: this computer's time zone, if known."""
    findings = look_at_sheet(sheet, zone, UNKNOWN_ZONE)
    entries = {
        entry.column: entry
        for entry in entries_of(findings, None)
        if entry.column and entry.key and "template" not in entry.settings
    }
    fields = []
    for column in findings.columns:
        if column.unusable:
            continue
        entry = entries.get(column.heading)
        fields.append(
            FieldProposal(
                key=entry.key if entry else "",
                column=column.heading,
                settings=entry.settings if entry else {},
                active=bool(entry and entry.active),
                doubts=entry.doubts if entry else (),
                samples=_samples(column),
                letters=column.letters,
                holds=column.guess.holds.value,
            )
        )
    return Proposals(tuple(fields), propose(findings, sheet, how, name, None, schema_at_hand=False))


def _samples(column: Column) -> tuple[str, ...]:
    """Up to three different values, as they are shown."""
    return tuple(str(seen.cell) for seen in column.values.seen()[:3])
