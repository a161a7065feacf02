"""The one tree of errors that a command can end with.

    ImporterError
    ├── UserError            exit 2: nothing was sent and nothing is left behind
    │   ├── SettingsError    environment, .env, keyring, flags
    │   ├── SheetError       the spreadsheet, or how it is to be read
    │   ├── MappingError     the mapping file, or a sheet that does not fit it
    │   ├── ResultsError     the results file or the batch that was named
    │   └── TenantError      keys, organisation or host, before the first Create of `run`
    └── WorkError            exit 3: the work stopped half-way, rows are pending, `resume` goes on
        └── JournalError     the disk refused: no further call may leave

A *row's* failure is never one of these: it is an outcome, and stands in the journal (`outcomes.py`).
`cli.main` turns the branch into the exit code in one place; nothing else exits.
"""

from __future__ import annotations

from typing import ClassVar


class ImporterError(Exception):
    """Something a person must know about. `str()` is the whole message for them.

    what: the fact, a full sentence without the place.
    where: file, sheet, row as Excel numbers it, column, or YAML line; shown first.
    remedy: what the reader can do, a full sentence; shown last.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head} {self.remedy}" if self.remedy else head


class UserError(ImporterError):
    """Nothing was sent and nothing is left behind; the person can put it right."""

    exit_code = 2


class SettingsError(UserError):
    """An option, the environment, `.env` or the keyring holds something unusable."""


class SheetError(UserError):
    """The spreadsheet cannot be read, or reading it would guess at its contents."""


class MappingError(UserError):
    """The mapping file is wrong, or the sheet lacks what it names."""


class ResultsError(UserError):
    """The results file or batch that was named cannot be used as it is."""


class TenantError(UserError):
    """The tenant refused us, or could not be reached, before anything was sent."""


class WorkError(ImporterError):
    """The work stopped with rows still pending; the batch is intact and can be resumed."""

    exit_code = 3


class JournalError(WorkError):
    """The journal could not be written: no further call may leave."""
