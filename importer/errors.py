"""The one tree of errors that a command can end with.

    ImporterError
    ├── UserError            exit 2: nothing was sent and nothing is left behind
    │   ├── SettingsError    environment, .env, keyring, flags
    │   ├── SheetError       the spreadsheet, or how it is to be read
    │   ├── MappingError     the mapping file, or a sheet that does not fit it
    │   ├── ResultsError     the results file or the batch that was named
    │   ├── FileError        a file that we write cannot be put in its place
    │   ├── StoreUnusableError  the store cannot be opened: nothing can be done without it
    │   └── TenantError      keys, organisation or host, before the first Create of `run`
    └── WorkError            exit 3: the work stopped half-way, rows are pending, `resume` goes on
        └── StoreError       the store refused: no further call may leave

A *row's* failure is never one of these: it is an outcome, kept with the row (`outcomes.py`).
`cli.main` turns the branch into the exit code in one place; nothing else exits. `error_code` is one word for
scripts (`--json`); `ERROR_CODES` lists what each means.
"""

from __future__ import annotations

from typing import ClassVar, Final

from importer.text import shown

WHERE_LENGTH_MAX: Final = 1_000

ERROR_CODES: Final = {
    "usage": "The command line is wrong.",
    "settings": "An option, the environment, `.env` or the keyring holds something unusable.",
    "keys": "LeadSquared refused the keys, or they belong to another organisation or host.",
    "mapping": "The mapping is wrong, or does not fit the sheet.",
    "sheet": "The sheet cannot be read, or rows of it are invalid.",
    "results": "The results file or the batch that was named cannot be used.",
    "in-use": "Another process works on the batch.",
    "imported-before": "The sheet was imported before, or rows of it are still open in another batch.",
    "question-open": "A question was not answered, and nobody could be asked.",
    "declined": "A person answered no.",
    "erased": "The batch's customer data was removed.",
    "unreachable": "LeadSquared cannot be reached.",
    "outage": "LeadSquared accepted no row for too long.",
    "quota": "A limit of calls for hours or a day is used up.",
    "address": "The address is wrong: LeadSquared does not answer there.",
    "refused-alike": "The first rows were all refused for the same reason.",
    "trial": "The rows of the trial (`--canary`) were not created as sent.",
    "interrupted": "A person or the system stopped it.",
    "store": "The store cannot be opened, read or written.",
    "disk": "The disk is full, or a file cannot be written.",
    "unexpected": "A fault of the importer.",
}
"""Every `error_code`, and what it means."""


class ImporterError(Exception):
    """Something a person must know about. `str()` is the whole message for them.

    what: the fact, a full sentence without the place.
    where: file, sheet, row as Excel numbers it, column, or YAML line; shown first.
    remedy: what the reader can do, a full sentence; shown last.
    command: a command line that helps, its words without `importer`; shown by itself, to be pasted.
    code: one of `ERROR_CODES`, where it is not the class's own.
    """

    exit_code: ClassVar[int] = 1
    error_code: str = "unexpected"

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", command: tuple[str, ...] = (), code: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.command = command
        if code:
            self.error_code = code

    def __str__(self) -> str:
        head = f"{shown(self.where, WHERE_LENGTH_MAX)}: {self.what}" if self.where else self.what
        return f"{head} {self.remedy}" if self.remedy else head


class UserError(ImporterError):
    """Nothing was sent and nothing is left behind; the person can put it right."""

    exit_code = 2
    error_code = "usage"


class SettingsError(UserError):
    """An option, the environment, `.env` or the keyring holds something unusable."""

    error_code = "settings"


class SheetError(UserError):
    """The spreadsheet cannot be read, or reading it would guess at its contents."""

    error_code = "sheet"


class MappingError(UserError):
    """The mapping file is wrong, or the sheet lacks what it names."""

    error_code = "mapping"


class ResultsError(UserError):
    """The results file or batch that was named cannot be used as it is."""

    error_code = "results"


class FileError(UserError):
    """A file that we write cannot be put in its place: the disk is full, or the destination is a link."""

    error_code = "disk"


class StoreUnusableError(UserError):
    """The store cannot be opened: not reachable, of a newer importer, damaged, or not to be written."""

    error_code = "store"


class TenantError(UserError):
    """The tenant refused us, or could not be reached, before anything was sent."""

    error_code = "keys"


class WorkError(ImporterError):
    """The work stopped with rows still pending; the batch is intact and can be resumed."""

    exit_code = 3
    error_code = "outage"


class StoreError(WorkError):
    """The store could not be read or written, or was lost: no further call may leave.

    Before the first call of a run this means that nothing was sent (`app` turns it into exit 2).
    """

    error_code = "store"


def damaged(what: str) -> StoreError:
    """What is read from the store and is not as it was written: somebody changed it, or the disk did."""
    return StoreError(
        f"The store holds {what} that is damaged.",
        remedy="Restore the store from a backup. Nothing more was sent.",
    )
