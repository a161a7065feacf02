"""Whose value LeadSquared refuses: the column and the value of each field that its message names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from importer.activity import ACCOUNT, NOTE, Activity
from importer.text import one_line

FIELDS_NAMED_MAX: Final = 3
REFUSED_VALUE_LENGTH_MAX: Final = 80
_ABOUT_THE_ACCOUNT: Final = "mxinvalidentityreference"
_NAME: Final = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)


def with_columns(message: str, code: str, sent: Activity, columns: Mapping[str, str]) -> str:
    """`message` and, for each field of the activity that it names, that field's column and value.

    columns: schema name → heading of the column that it comes from; a constant or a template has none.
    """
    values = {ACCOUNT: sent.company_id, NOTE: sent.note or "", **dict(sent.fields)}
    names = {name.casefold(): name for name in (*values, *columns)}
    found = [names[word] for word in map(str.casefold, _NAME.findall(message)) if word in names]
    if not found and code.casefold().startswith(_ABOUT_THE_ACCOUNT):
        found = [ACCOUNT]
    parts = [_described(name, columns.get(name, ""), values.get(name, "")) for name in dict.fromkeys(found)]
    return " ".join((message, *parts[:FIELDS_NAMED_MAX]))


def _described(name: str, column: str, value: str) -> str:
    source = f"{name} is column '{one_line(column, REFUSED_VALUE_LENGTH_MAX)}'" if column else name
    joint = ", value" if column else " has the value"
    shown = f"'{one_line(value, REFUSED_VALUE_LENGTH_MAX)}'" if value.strip() else "(empty)"
    return f"{source}{joint} {shown}."
