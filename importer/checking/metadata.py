"""A mapping compared with what LeadSquared says about its activity type. Pure; the call is made elsewhere.

All of it are notices: whether LeadSquared tells the whole truth about account activities is not documented,
so that nothing here may stop an import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from importer.activity import ActivityField
from importer.checking.columns import FoundCells
from importer.checking.findings import Cells
from importer.findings import CellFinding, Severity
from importer.mapping.choices import did_you_mean, listing
from importer.mapping.field_plan import FieldPlan
from importer.mapping.mapping import Mapping
from importer.mapping.row_mapper import RowMapper
from importer.mapping.values import BLANKS, TextValue
from importer.sheets.rows import Row
from importer.text import quoted

CUSTOM: Final = "mx_"
"""Other names (Status, Owner) are LeadSquared's own, and need not be listed."""
_LIST: Final = "Compare it with the activity type in Settings > Accounts Customization."


def mapping_findings(mapping: Mapping, code: int, known: Sequence[ActivityField]) -> list[CellFinding]:
    """What of the mapping does not fit the activity type `code`, whose fields are `known` (none: nothing is
    known, and nothing is said)."""
    by_name = {field.schema_name: field for field in known}
    if not by_name:
        return []
    found: list[CellFinding] = []
    for plan in mapping.fields:
        field = by_name.get(plan.name)
        if field is not None:
            found += _outside_options(plan, field)
        elif plan.name.startswith(CUSTOM):
            found.append(_unknown(plan, code, list(by_name)))
    if mapping.marker is not None and mapping.marker not in by_name and mapping.marker.startswith(CUSTOM):
        hint = did_you_mean(mapping.marker, by_name)
        message = f"Activity type {code} has no field {mapping.marker}, which the marker uses.{hint}"
        found.append(_notice(None, "unknown-field", mapping.marker, message, _LIST))
    filled = {plan.name for plan in mapping.fields}
    for field in known:
        if field.mandatory and field.schema_name not in filled:
            message = (
                f"Activity type {code} requires {field.schema_name} ({quoted(field.display_name)}), which the"
                " mapping does not fill."
            )
            remedy = f"Add {field.schema_name} under `Fields:`, or expect that LeadSquared refuses the rows."
            found.append(_notice(None, "required-field", field.schema_name, message, remedy))
    return found


def option_watches(mapper: RowMapper, known: Sequence[ActivityField]) -> list[OptionWatch]:
    """A watch for each column whose texts go into a dropdown as they are; to be given to the `Survey`."""
    options = {field.schema_name: field.options for field in known if field.options}
    return [
        OptionWatch(field.columns[0], field.plan.name, options[field.plan.name])
        for field in mapper.fields
        if field.plan.name in options
        and field.plan.choices is None
        and field.plan.column is not None
        and field.plan.lookup is None
        and isinstance(field.plan.type, TextValue)
    ]


class OptionWatch:
    """A column of texts for a dropdown."""

    def __init__(self, column: tuple[str, int], name: str, options: Sequence[str]) -> None:
        self._heading, self._index = column
        self._name = name
        self._options = options
        self._known = frozenset(options)
        self._outside = Cells()

    def see(self, row: Row) -> None:
        """The next row."""
        cell = row.cells[self._index].strip(BLANKS) if self._index < len(row.cells) else ""
        if cell and cell not in self._known:
            self._outside.add(row.number, cell)

    def findings(self) -> Iterator[FoundCells]:
        """The cells that are not among the options, as one finding."""
        if self._outside.count:
            text = self._outside.examples[0].value
            found = _not_an_option(self._heading, text, self._name, self._options)
            yield _at(found, self._index), self._outside


def _outside_options(plan: FieldPlan, field: ActivityField) -> Iterator[CellFinding]:
    """What the mapping itself can send that the dropdown does not offer."""
    if not field.options:
        return
    sent = [] if plan.choices is None else list(plan.choices.sent)
    sent += [text for text in (plan.constant, plan.default) if text]
    for text in dict.fromkeys(sent):
        if text and text not in field.options:
            yield _not_an_option(plan.column, text, plan.name, field.options)


def _unknown(plan: FieldPlan, code: int, names: Sequence[str]) -> CellFinding:
    hint = did_you_mean(plan.name, names) or f" It has {listing(names)}."
    message = f"Activity type {code} has no field {plan.name}.{hint}"
    return _notice(plan.column, "unknown-field", plan.name, message, _LIST)


def _not_an_option(column: str | None, text: str, name: str, options: Sequence[str]) -> CellFinding:
    hint = did_you_mean(text, options) or f" It has {listing(options)}."
    message = f"{quoted(text)} is not an option of {name} in LeadSquared.{hint}"
    remedy = "Correct it, or translate it with `values` in the mapping."
    return _notice(column, "not-an-option", text, message, remedy)


def _notice(column: str | None, kind: str, value: str, message: str, remedy: str) -> CellFinding:
    return CellFinding(Severity.NOTICE, column, None, kind, value, message, remedy)


def _at(found: CellFinding, index: int) -> CellFinding:
    return CellFinding(
        found.severity, found.column, index, found.kind, found.value, found.message, found.remedy
    )
