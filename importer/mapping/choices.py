"""What is sent in place of a cell: what a closed list says of it (`one_of`, `values`, `values_file`), or the
Id by which LeadSquared knows it (`leadsquared/lookups.py` asks). Pure.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from importer.mapping.values import BLANKS, Fault
from importer.text import listed, quoted

CHOICES_LISTED_MAX: Final = 8
NEAREST_MAX: Final = 300
"""In longer lists the nearest entry is not looked for: it takes too long when many cells are wrong."""
LOOK_ALIKE_MAX: Final = 2


def folded(text: str) -> str:
    """The form in which spellings count as one: either case, accents composed or not, blanks as one space."""
    return unicodedata.normalize("NFC", " ".join(text.strip(BLANKS).split())).casefold()


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A sentence to append, with a leading blank; empty if nothing is close. Texts that look alike on a
    screen differ in signs outside of ASCII: these are named."""
    by_folded = {folded(word): word for word in reversed(list(known))}
    found = difflib.get_close_matches(folded(text), by_folded, n=1, cutoff=0.6)
    if not found:
        return ""
    word = by_folded[found[0]]
    one, other = (unicodedata.normalize("NFC", each) for each in (text, word))
    signs = sorted(set(one) ^ set(other))
    named = 0 < len(signs) <= LOOK_ALIKE_MAX and not all(map(str.isascii, signs))
    differ = f" They differ in {' and '.join(map(_named, signs))}." if named else ""
    return f" Did you mean {quoted(word)}?{differ}"


def _named(sign: str) -> str:
    name = unicodedata.name(sign, "a character without a name").lower()
    return f"{name} (U+{ord(sign):04X})"


def listing(words: Iterable[str]) -> str:
    """The first few words, and how many more there are."""
    return listed([quoted(word, 30) for word in words], CHOICES_LISTED_MAX)


class Choices:
    """What is listed → what is sent. Compared trimmed, and without regard to case, except between entries
    that differ in nothing else: those want their exact spelling."""

    __slots__ = ("_exact", "_folded", "fault")

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        self._exact = {key.strip(BLANKS): sent for key, sent in entries}
        spellings: dict[str, set[str]] = {}
        for key in self._exact:
            spellings.setdefault(folded(key), set()).add(key)
        self._folded = {
            key: self._exact[next(iter(exact))] for key, exact in spellings.items() if len(exact) == 1
        }
        self.fault = lru_cache(maxsize=1024)(self._fault)

    def __repr__(self) -> str:
        return f"Choices({listing(self._exact)})"

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._exact)

    @property
    def sent(self) -> tuple[str, ...]:
        """Everything that can be sent, each once."""
        return tuple(dict.fromkeys(self._exact.values()))

    def find(self, text: str) -> str | None:
        """What is sent for `text`; None if it is not listed."""
        sent = self._exact.get(text)
        return self._folded.get(folded(text)) if sent is None else sent

    def _fault(self, text: str) -> Fault:
        hint = did_you_mean(text, self._exact) if len(self._exact) <= NEAREST_MAX else ""
        return Fault(
            "not-listed",
            f"{quoted(text)} is not one of {listing(self._exact)}.{hint}",
            "Correct it in the sheet, or add it to the list in the mapping.",
        )


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
