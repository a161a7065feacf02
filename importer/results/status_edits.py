"""What a word in `import_status` says of its row, and why another one says nothing. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from importer.results.respelling import is_respelling
from importer.sending.reconcile.normalise import GUID


class Said(StrEnum):
    """What a person said of a row."""

    SKIP = "skip"  # `skipped`: never send it
    TAKE_BACK = "take back"  # `pending` on a skipped row
    NOT_THERE = "not there"  # `pending` on an uncertain row: I looked
    CREATED = "created"  # on an uncertain row, with the Id pasted in


@dataclass(frozen=True, slots=True)
class StatusWord:
    """activity_id: as pasted, with Said.CREATED only."""

    number: int
    said: Said
    activity_id: str = ""


class Age(Enum):
    """What a line's `import_time` says of it."""

    LATEST = "as last written"
    RESPELT = "perhaps as last written: a program respelt it and lost its fractions of a second"
    OLDER = "of an older copy, or no time at all"


_ACCEPTED: Final = {
    ("pending", "skipped"): Said.SKIP,
    ("failed", "skipped"): Said.SKIP,
    ("invalid", "skipped"): Said.SKIP,
    ("skipped", "pending"): Said.TAKE_BACK,
    ("uncertain", "pending"): Said.NOT_THERE,
    ("uncertain", "created"): Said.CREATED,
}
_NOT_TAKEN: Final = {
    (
        "uncertain",
        "skipped",
    ): "the row may have been created: look, then say created (with its Id) or pending.",
    ("failed", "pending"): "mend the row's cells, or resume with --retry-failed.",
    ("invalid", "pending"): "mend the row's cells; a row that is valid is sent.",
}
_CREATED: Final = "the row was created, and that cannot be undone from here."
_UNKNOWN: Final = "only skipped, pending and, on uncertain rows, created can be said there."
_NO_ID: Final = "paste the activity's Id into import_activity_id as well."
_NOT_SURE: Final = "import_time was changed when the file was saved, so this may be an older copy's word."


def age_of(found: str | None, last: str) -> Age:
    """found: the line's `import_time`. last: the one last written for its row (UTC, ISO 8601)."""
    if found == last:
        return Age.LATEST
    if not found:
        return Age.OLDER
    try:
        same = dt.datetime.fromisoformat(found) == dt.datetime.fromisoformat(last)
    except (ValueError, TypeError):  # no ISO time, or one without a zone
        same = False
    if same:
        return Age.LATEST
    return Age.RESPELT if is_respelling(last.rstrip("Z").replace("T", " "), found) else Age.OLDER


def meaning(number: int, status: str, word: str, pasted: str, age: Age) -> StatusWord | str:
    """What `word` says of a row that is shown as `status`; or why it says nothing, as an end of a sentence.

    pasted: what stands in `import_activity_id`. age: not OLDER, where no word counts.
    """
    word = word.strip().lower()
    said = _ACCEPTED.get((status, word))
    if said is None:
        return _CREATED if status == "created" else _NOT_TAKEN.get((status, word), _UNKNOWN)
    if said is Said.NOT_THERE and age is not Age.LATEST:
        return _NOT_SURE  # every row was `pending` in some older copy, and this word lets a row be sent again
    if said is Said.CREATED:
        return StatusWord(number, said, pasted) if GUID.fullmatch(pasted) else _NO_ID
    return StatusWord(number, said)
