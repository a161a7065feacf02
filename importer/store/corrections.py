"""What the writer does for corrections: a mark before an Update leaves, and what became of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from importer.activity import NOTE, Activity
from importer.store import schema
from importer.store.ownership import expect, plain
from importer.store.records import CorrectionMark, CorrectionResult, CorrectionStatus, iso

_one: Final = schema.correction.c
_plan: Final = schema.correction_plan.c
_row: Final = schema.row.c
_THIS_FIELD: Final = and_(
    _one.batch == bindparam("b_batch"),
    _one.position == bindparam("b_position"),
    _one.field == bindparam("b_field"),
    or_(
        _one.status == int(CorrectionStatus.PLANNED), _one.status == int(CorrectionStatus.SENDING)
    ),  # not IN: it cannot be executed for many rows at once
)
_MARK: Final = (
    update(schema.correction)
    .where(_THIS_FIELD)
    .values(
        status=int(CorrectionStatus.SENDING),
        attempts=_one.attempts + 1,
        replaced=func.coalesce(_one.replaced, bindparam("b_replaced")),
        changed_at=bindparam("b_changed_at"),
    )
)
_RESULT: Final = (
    update(schema.correction)
    .where(_THIS_FIELD)
    .values(
        status=bindparam("b_status"),
        code=bindparam("b_code"),
        error=bindparam("b_error"),
        changed_at=bindparam("b_changed_at"),
    )
)


def write_correction_marks(connection: Connection, key: int, marks: list[CorrectionMark]) -> None:
    """Fields of rows are about to be updated. What LeadSquared held before the first Update of a field
    stays."""
    parameters = [
        {
            "b_batch": key, "b_position": mark.position, "b_field": field, "b_replaced": plain(value),
            "b_changed_at": iso(mark.at),
        }
        for mark in marks
        for field, value in mark.replaced.items()
    ]  # fmt: skip
    expect(connection.execute(_MARK, parameters).rowcount, len(parameters))


def write_correction_results(connection: Connection, key: int, results: list[CorrectionResult]) -> None:
    """What became of fields; a row of which all is corrected holds what was planned."""
    parameters = [
        {
            "b_batch": key, "b_position": one.position, "b_field": field, "b_status": int(one.status),
            "b_code": plain(one.code), "b_error": plain(one.error), "b_changed_at": iso(one.at),
        }
        for one in results
        for field in one.fields
    ]  # fmt: skip
    expect(connection.execute(_RESULT, parameters).rowcount, len(parameters))
    for one in results:
        if one.status is CorrectionStatus.CORRECTED:
            _take_over(connection, key, one)


def _take_over(connection: Connection, key: int, one: CorrectionResult) -> None:
    """What the row holds now; its cells once all that was planned is corrected."""
    last = connection.execute(
        select(func.max(_plan.round)).where(_plan.batch == key, _plan.position == one.position)
    ).scalar_one()
    planned = select(_plan.cells, _plan.holds).where(
        _plan.batch == key, _plan.round == last, _plan.position == one.position
    )
    cells, holds = connection.execute(planned).one()
    left = select(_one.field, _one.before).where(
        _one.batch == key,
        _one.round == last,
        _one.position == one.position,
        _one.status != int(CorrectionStatus.CORRECTED),
    )
    before = {field: value for field, value in connection.execute(left)}  # noqa: C416 - rows are no pairs
    values = {"holds": _without(holds, before), "changed_at": iso(one.at)}
    connection.execute(
        update(schema.row)
        .where(_row.batch == key, _row.position == one.position)
        .values(values if before else {**values, "cells": cells})
    )


def _without(holds: bytes, before: dict[str, str]) -> bytes:
    """An activity with these fields as they were."""
    if not before:
        return holds
    planned = Activity.decoded(holds)
    fields = [(name, before.get(name, value)) for name, value in planned.fields]
    known = {name for name, _ in fields}
    fields += [(name, value) for name, value in before.items() if name not in known and name != NOTE]
    kept = tuple((name, value) for name, value in fields if value or name not in before)
    return Activity(planned.company_id, planned.event, before.get(NOTE, planned.note), kept).encoded()
