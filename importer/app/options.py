"""What each use case can be asked for: frozen records with the defaults of the command line."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from importer.errors import UserError
from importer.mapping.mapping import Mapping
from importer.pacing.rules import Rate

DEFAULT_SETTLE_S: Final = 5.0
DEFAULT_MAX_ATTEMPTS: Final = 5

Hidden = Literal["include", "skip"]
Cell = tuple[int, int]
"""A row as Excel numbers it, and a column counted from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetInput:
    """A sheet and how to read it; what is None comes from the mapping, else from the sheet itself.

    hidden: what to do with rows that a filter hides. cells: corrections made on the screen, by place; they
    take the place of what the file says, and the file stays as it is.
    """

    path: Path
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    hidden: Hidden | None = None
    cells: MappingOf[Cell, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How LeadSquared (or with `sandbox` the embedded sandbox) is called.

    host, rate: instead of the settings' own (`Rate(25, 5.0)` is 25 calls in 5 seconds).
    max_outage_s: how long to wait without one success before giving up. Raises UserError for a host beside
    `sandbox`, which is not called there.
    """

    host: str | None = None
    sandbox: bool = False
    rate: Rate | None = None
    workers: int = 32
    timeout_s: float = 60.0
    max_outage_s: float = 900.0

    def __post_init__(self) -> None:
        if self.sandbox and self.host is not None:
            raise UserError(
                "--host and --sandbox exclude each other: the sandbox is on this computer.",
                remedy="Leave out --host to rehearse, or --sandbox to call that host.",
            )


def refuse_host_offline(host: str | None, *, online: bool) -> None:
    """Raises UserError for a host that nothing is asked of."""
    if host is not None and not online:
        raise UserError(
            "Nothing is asked of LeadSquared here: --host is for --online.",
            remedy="Leave out --host, or add --online.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingOptions:
    """How rows are sent. limit: rows to send at most. canary: send so many rows first, read them back, and go
    on only if all came back as sent. results: where the results file goes, a file or a folder; replace: over
    the results file of a finished batch too."""

    limit: int | None = None
    canary: int | None = None
    settle_s: float = DEFAULT_SETTLE_S
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    keep_going: bool = False
    results: Path | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One import of a sheet. The booleans from `yes` on are answers given in advance (see `Question`).

    mapping: a YAML file, or one that was loaded. accept: kinds of findings that are fine as they are.
    resume: continue an open batch of the same sheet instead of refusing it.
    """

    sheet: SheetInput
    mapping: Path | Mapping
    calls: CallOptions = CallOptions()
    sending: SendingOptions = SendingOptions()
    yes: bool = False
    skip_invalid: bool = False
    accept: Collection[str] = ()
    only_new: bool = False
    again: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenChanges:
    """What a person changed in a batch on the screen instead of in its results file.

    cells: of rows that are not created, by place. statuses: by row number, `skipped`, `pending` or `created`
    as in `import_status`; ids: with `created`, the activity's Id.
    """

    cells: MappingOf[Cell, str] = field(default_factory=dict)
    statuses: MappingOf[int, str] = field(default_factory=dict)
    ids: MappingOf[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What is asked for of a batch. results: the results file, the batch's id, or the source sheet. mapping:
    with `remap` the new one. changes: what was changed on the screen; None reads it from the results file.
    yes: the answer to every question, given in advance; unattended: without it, nobody can be asked."""

    results: str
    calls: CallOptions = CallOptions()
    mapping: Path | Mapping | None = None
    remap: bool = False
    changes: ScreenChanges | None = None
    yes: bool = False
    unattended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOptions(BatchOptions):
    """One continuation of a batch. mapping: with `remap` the new one, or the batch's own where the store does
    not have the batch."""

    retry_failed: bool = False
    sending: SendingOptions = SendingOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """One check of a sheet. online: look accounts and users up (`calls` says where). marked_copy: where to
    write a copy of the sheet with the bad cells coloured, an `.xlsx`. Raises UserError for a host that is not
    asked."""

    sheet: SheetInput
    mapping: Path | Mapping
    calls: CallOptions = CallOptions()
    accept: Collection[str] = ()
    online: bool = False
    marked_copy: Path | None = None

    def __post_init__(self) -> None:
        refuse_host_offline(self.calls.host, online=self.online)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """One reading back of a batch. results: the results file, the batch's id, or the source sheet."""

    results: str
    calls: CallOptions = CallOptions()
    settle_s: float = DEFAULT_SETTLE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectOptions(BatchOptions):
    """One correction of a batch's created rows. mapping: with `remap`, the mapping that all of them are
    compared with. overwrite: replace values that somebody changed in LeadSquared. undo: take the last
    correction back."""

    overwrite: bool = False
    undo: bool = False
    settle_s: float = DEFAULT_SETTLE_S
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
