"""What can be asked of batches: progress, reading back, a report, removal of their data."""

from __future__ import annotations

from pathlib import Path

from importer.app.observer import SILENT, Observer, StopHandle
from importer.app.options import VerifyOptions
from importer.app.records import BatchStatus, EraseResult, VerifyResult


def list_batches(store: object) -> tuple[BatchStatus, ...]:
    """All batches, the latest first, rehearsals among them."""
    raise NotImplementedError


def batch_status(named: str, store: object, *, rehearsal: bool = False) -> BatchStatus:
    """One batch, also while it runs elsewhere. named: its results file, its id, or the source sheet (with
    `rehearsal`, that sheet's rehearsal). Raises ResultsError."""
    raise NotImplementedError


async def verify(
    options: VerifyOptions, store: object, observer: Observer = SILENT, stop: StopHandle | None = None
) -> VerifyResult:
    """Reads created activities back and compares them with what was sent. Continues one that was interrupted.

    Raises ResultsError (in use, nothing created, erased), WorkError in an outage.
    """
    raise NotImplementedError


def write_report(named: str, store: object, *, rehearsal: bool = False) -> Path:
    """Writes the HTML report beside the results file; where it is. Raises ResultsError."""
    raise NotImplementedError


def erase(batch: str, store: object) -> EraseResult:
    """Removes a batch's customer data; its fingerprints stay. To be confirmed before. Raises ResultsError."""
    raise NotImplementedError
