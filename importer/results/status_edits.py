"""What a word in `import_status` says of its row, and why another one says nothing. Pure.

The words are `Shown`, of the store's records; only the transitions here mean anything.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from importer.activity import GUID
from importer.results.respelling import is_respelling
from importer.store.records import Shown


class StatusEdit(StrEnum):
    """What a person said of a row."""

    SKIP = "skip"  # `skipped`: never send it
    TAKE_BACK = "take back"  # `pending` on a skipped row
    NOT_THERE = "not there"  # `pending` on an uncertain row: I looked
    CREATED = "created"  # on an uncertain row, with the Id pasted in
    DELETED = "deleted"  # `pending` on a created row: its activity was deleted in LeadSquared by hand


@dataclass(frozen=True, slots=True)
class StatusWord:
    """activity_id: as pasted, with StatusEdit.CREATED only."""

    number: int
    said: StatusEdit
    activity_id: str = ""


class Age(Enum):
    """What a line's `import_time` says of it."""

    LATEST = "as last written"
    RESPELT = "perhaps as last written: a program respelt it and lost its fractions of a second"
    OLDER = "of an older copy, or no time at all"
    NEWER = "newer than what this store knows: somebody continued the batch elsewhere"


_ACCEPTED: Final[dict[tuple[str, str], StatusEdit]] = {
    (Shown.PENDING, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.FAILED, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.INVALID, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.SKIPPED, Shown.PENDING): StatusEdit.TAKE_BACK,
    (Shown.UNCERTAIN, Shown.PENDING): StatusEdit.NOT_THERE,
    (Shown.UNCERTAIN, Shown.CREATED): StatusEdit.CREATED,
    (Shown.CREATED, Shown.PENDING): StatusEdit.DELETED,
}
_NOT_TAKEN: Final[dict[tuple[str, str], str]] = {
    (
        Shown.UNCERTAIN,
        Shown.SKIPPED,
    ): "the row may have been created: look it up, then write created (with its Id) or pending.",
    (Shown.FAILED, Shown.PENDING): "fix the row's cells, or resume with --retry-failed.",
    (Shown.INVALID, Shown.PENDING): "fix the row's cells; a row that is valid is sent.",
}
_CREATED: Final = "the row was created, and that cannot be undone from here."
_UNKNOWN: Final = "only skipped, pending and, on uncertain rows, created can be written there."
_NO_ID: Final = "paste the activity's Id into import_activity_id as well."
_NOT_SURE: Final = "import_time was changed when the file was saved, so this may be an older copy's word."


def age_of(found: str | None, last: str) -> Age:
    """found: the line's `import_time`. last: the one last written for its row (UTC, ISO 8601)."""
    if found == last:
        return Age.LATEST
    if not found:
        return Age.OLDER
    try:
        ahead_s = (dt.datetime.fromisoformat(found) - dt.datetime.fromisoformat(last)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no ISO time, or one without a zone
        pass
    else:
        if ahead_s >= 0:
            return Age.NEWER if ahead_s else Age.LATEST
    return Age.RESPELT if is_respelling(last.rstrip("Z").replace("T", " "), found) else Age.OLDER


def said_by(status: str, word: str) -> StatusEdit | None:
    """What a word says of a row that is shown as `status`; None if it says nothing."""
    return _ACCEPTED.get((status, word.strip().lower()))


def meaning(number: int, status: str, word: str, pasted: str, age: Age) -> StatusWord | str:
    """What `word` says of a row that is shown as `status`; or why it says nothing, as an end of a sentence.

    pasted: what is in `import_activity_id`. age: LATEST or RESPELT; on other lines no word counts.
    """
    word = word.strip().lower()
    said = said_by(status, word)
    if said is None:
        return _CREATED if status == Shown.CREATED else _NOT_TAKEN.get((status, word), _UNKNOWN)
    if said in {StatusEdit.NOT_THERE, StatusEdit.DELETED} and age is not Age.LATEST:
        return _NOT_SURE  # every row was `pending` in some older copy, and this word lets a row be sent again
    if said is StatusEdit.CREATED:
        return StatusWord(number, said, pasted) if GUID.fullmatch(pasted) else _NO_ID
    return StatusWord(number, said)
