"""What a mapping says about looking things up: pure shapes, no network (that is `leadsquared/lookups.py`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from importer.mapping.values import Fault

FULL_NAME: Final = "FullName"
"""Not an attribute of LeadSquared's users: first and last name with a blank between them."""
_PLACEHOLDER: Final = "lookup:"


@dataclass(frozen=True, slots=True)
class Lookup:
    """One attribute by which users or accounts are found. Two columns that ask the same are the same lookup.

    by: the attribute (`EmailAddress`, `mx_Account_Code`). company_type: for accounts, else None.
    column: where it is asked first, for messages.
    """

    kind: Literal["user", "account"]
    by: str
    company_type: str | None = None
    column: str = field(default="", compare=False)

    def key(self, value: str) -> str:
        """The form in which two values ask for the same thing: e-mail addresses and people's names have no
        case, and names no runs of blanks."""
        if self.by == FULL_NAME:
            return " ".join(unicodedata.normalize("NFC", value).split()).casefold()
        return value.casefold() if "email" in self.by.casefold() else value

    def placeholder(self, value: str) -> str:
        """What stands in an activity until the Id is known (`check` without `--online`)."""
        return f"{_PLACEHOLDER}{self.kind}:{value}"


def asked_for(text: str) -> str | None:
    """The value that a `placeholder` stands for; None for any other text."""
    return text.split(":", 2)[-1] if text.startswith(_PLACEHOLDER) else None


Resolved = Mapping[tuple[Lookup, str], str | Fault]
"""The Id, or why there is none, by (lookup, `lookup.key(value)`). Kinds of faults: `not-found`,
`found-twice`, `inactive`."""
