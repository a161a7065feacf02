"""What LeadSquared says about an activity type: its fields, which of them are required, and their options.

`GET ProspectActivity.svc/CustomActivity/GetActivitySetting?code=` is documented for lead activities only
(leadsquared.md, "Discovering"). An answer that cannot be understood is as good as none. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

OPTIONS_MAX: Final = 2_000
FIELDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class TypeField:
    """One field of an activity type. options: what a dropdown offers, () for other fields."""

    schema_name: str
    display_name: str
    data_type: str
    required: bool
    options: tuple[str, ...] = ()


def type_fields(answer: bytes) -> tuple[TypeField, ...]:
    """The fields in a GetActivitySetting answer; () if it is anything else."""
    try:
        fields = json.loads(answer)["Fields"]
    except (ValueError, KeyError, TypeError):
        return ()
    if not isinstance(fields, list):
        return ()
    return tuple(_field(each) for each in fields[:FIELDS_MAX] if _is_field(each))


def _is_field(each: object) -> bool:
    return isinstance(each, dict) and isinstance(each.get("SchemaName"), str) and bool(each["SchemaName"])


def _field(each: dict[str, Any]) -> TypeField:
    return TypeField(
        each["SchemaName"],
        str(each.get("DisplayName") or each["SchemaName"]),
        str(each.get("DataType") or ""),
        each.get("IsMandatory") in {True, "1", "true", "True"},
        _options(each.get("OptionSet")),
    )


def _options(given: object) -> tuple[str, ...]:
    """A dropdown's options, which stand as JSON in a text: [{"Value": …, "Text": …}]."""
    try:
        options = json.loads(given) if isinstance(given, str) and given else given
    except ValueError:
        return ()
    if not isinstance(options, list):
        return ()
    values = [each.get("Value") if isinstance(each, dict) else each for each in options[:OPTIONS_MAX]]
    return tuple(value for value in values if isinstance(value, str) and value)
