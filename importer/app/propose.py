"""`propose`: a starter mapping from a sheet's own columns."""

from __future__ import annotations

from dataclasses import dataclass

from importer.app.options import ProposeOptions


@dataclass(frozen=True, slots=True)
class ProposedMapping:
    """text: the YAML. to_fill_in, to_review: sentences with their lines. notices: about the sheet."""

    text: str
    header_row: int
    header_certain: bool
    to_fill_in: tuple[str, ...]
    to_review: tuple[str, ...]
    notices: tuple[str, ...]


def propose(options: ProposeOptions) -> ProposedMapping:
    """Reads the sheet's first rows. Writes nothing. Raises SheetError."""
    raise NotImplementedError
