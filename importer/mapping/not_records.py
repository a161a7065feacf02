"""Rows of a sheet that are no records: totals, repeated headings, titles and footers of a report.

Asked only of rows that cannot be sent; whatever a row looks like, a valid one is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from importer.mapping.values import IdValue, trimmed

_REMEDY: Final = "Delete the row, or use --skip-invalid to leave it out."
_TOTAL: Final = (
    r"(?:(?:grand|sub|net|page|month(?:ly)?|overall|running)[ -]?)*totals?|sum|average|avg|count"
    r"|gesamt(?:summe)?|(?:zwischen)?summe|insgesamt|total(?:e|es|aux)?(?: g[eé]n[eé]ral)?|sous[ -]?total"
    r"|somme|subtotale?s?|suma|soma|totaal|jumlah|toplam|итого|всего|कुल"
)
_TOTALS: Final = re.compile(
    rf"(?:{_TOTAL})(?:\s*[:=(\d].*|\s+(?:for|of|by)\b.*)?|.{{1,60}} (?:sub[ -]?)?total:?", re.IGNORECASE
)
"""`Total`, `Total (3)`, `Total for March`, `West Total`; not `Total Gas Ltd`."""
_FOOTERS: Final = re.compile(
    r"generated|printed|exported|created (?:on|by)|report\b|page \d|confidential|copyright|©|end of|note:"
    r"|source:|disclaimer|applied filters|filters?:|as of\b|powered by|this (?:report|document)|all rights"
    r"|erstellt|gedruckt|stand:|seite \d|généré|imprimé|página|generado|\*{2,}|-{3,}|={3,}|_{3,}",
    re.IGNORECASE,
)
_REPEATED_LEAST: Final = 0.6
_FOOTER_CELLS_MAX: Final = 2
_SENTENCE_WORDS: Final = 3


def looks_like(
    cells: Sequence[str], header: Sequence[str], account: int | None
) -> tuple[str, str, str] | None:
    """(kind, message, remedy) if the row is not a record; None if it may be one. account: the place of the
    column that says which account; a row with an Id there is a record."""
    filled = [(index, trimmed(cell)) for index, cell in enumerate(cells) if trimmed(cell)]
    if not filled:
        return None
    if account is not None and account < len(cells) and _is_id(cells[account]):
        return None
    texts = [(index, str(text)) for index, text in filled]
    same = sum(index < len(header) and _loose(header[index]) == _loose(text) for index, text in texts)
    if same >= 2 and same >= _REPEATED_LEAST * len(texts):
        return "repeated-headings", "The row repeats the headings.", _REMEDY
    if any(_TOTALS.fullmatch(text.strip("*-= ")) for _, text in texts[:2]):
        return "total-row", "The row looks like a total.", _REMEDY
    columns = sum(map(bool, header))
    sparse = len(texts) <= _FOOTER_CELLS_MAX and len(texts) < columns
    sentence = len(texts) == 1 and columns > _FOOTER_CELLS_MAX and len(texts[0][1].split()) >= _SENTENCE_WORDS
    if sparse and (sentence or _FOOTERS.match(texts[0][1])):
        return "footer-row", "The row looks like a title or footer of a report.", _REMEDY
    return None


def _is_id(cell: str) -> bool:
    return isinstance(IdValue().read(str(trimmed(cell))), str)


def _loose(text: str) -> str:
    return " ".join(text.split()).casefold()
