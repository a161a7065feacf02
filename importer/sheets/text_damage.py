"""What spreadsheets, databases and wrong encodings leave in the texts of cells, mostly of text files.

Looked for whatever the field's type: an import into a text field would send `#N/A` or `9.19877E+11` unseen.
A cell whose value is lost becomes an `ErrorCell`; where the value is there but looks odd, a notice says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from importer.findings import VALUE_SHOWN_MAX, CellFinding, Severity
from importer.sheets.rows import ErrorCell
from importer.text import quoted

CELL_LENGTH_MAX: Final = 131_072
"""Four times what a cell of Excel holds."""

_ERRORS_ENGLISH: Final = """
#N/A #REF! #NAME? #VALUE! #DIV/0! #NULL! #NUM! #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! #UNKNOWN! #BUSY!
#GETTING_DATA #EXTERNAL! #PYTHON! #ERROR! Loading..."""
_ERRORS_ELSEWHERE: Final = """
#NV #BEZUG! #WERT! #ZAHL! #FELD! #ÜBERLAUF! #KALK! #N/D #VALEUR! #NOM? #NOMBRE! #NUL! #PROPAGATION!
#¡REF! #¡VALOR! #¿NOMBRE? #¡NUM! #¡DIV/0! #¡NULO! #RIF! #NOME? #VALORE! #NULLO! #VALOR! #NÚM! #NULO!
#Н/Д #ССЫЛКА! #ЗНАЧ! #ИМЯ? #ЧИСЛО! #ДЕЛ/0! #ПУСТО! #ARG! #ADR! #NAZWA? #LICZBA! #DZIEL/0! #ZERO!
#N/B #WAARDE! #VERW! #NAAM? #GETAL! #DEEL/0! #LEEG! #YOK #DEĞER! #BAŞV! #AD? #SAYI! #SAYI/0! #BOŞ!
#SAKNAS! #VÄRDEFEL! #REFERENS! #NAMN? #OGILTIGT! #DIVISION/0! #I/T #VÆRDI! #VERDI! #REFERENCE! #NAVN? #NUMMER!
#PUUTTUU! #ARVO! #VIITTAUS! #NIMI? #LUKU! #JAKO/0! #HODNOTA! #ODKAZ! #NÁZEV? #ČÍSLO! #ÉRTÉK! #HIV! #NÉV?"""
ERRORS: Final = frozenset(f"{_ERRORS_ENGLISH} {_ERRORS_ELSEWHERE}".split())
"""Error values as Excel, LibreOffice and Google Sheets show them, in the languages that we know."""

EMPTY_WORDS: Final = frozenset(
    ("NULL", "\\N", "(null)", "(NULL)", "[NULL]", "[null]", "<NULL>", "<null>", "NaN", "nan", "NaT", "<NA>")
)
"""What databases and table tools write for nothing. `null` and `NA` can be codes, and stay unnoticed."""

GUARDED_TEXT: Final = re.compile(r'="((?:[^"]|"")*)"')
FORMULA: Final = re.compile(
    r"=[-+@]?(?:[A-Z][A-Z0-9._]*\(.*|(?:'?\w[^!]{0,40}!)?\$?[A-Z]{1,3}\$?\d+(?:[-+*/&:=<>^,%].*)?|\d[\d.+*/-]*)",
    re.ASCII | re.DOTALL,
)
SHORTENED: Final = re.compile(r"[+-]?\d(?:[.,]\d+E[+-]\d{2,3}|E\+(?:1[1-9]|[2-9]\d|\d{3}))", re.ASCII)
"""Excel's own spelling, with sign and two digits: `1E5` and `1e5` can be codes."""
SHORTENED_ELSEWHERE: Final = re.compile(r"[+-]?\d[.,]\d+e\+\d{2,3}", re.ASCII)
"""As R and Python write great numbers, with all of their digits or not."""
APOSTROPHE: Final = re.compile(r"'(?:[+\-(]?\d[\d .,/:()+\-]*|[=+\-@]\S.*)", re.ASCII | re.DOTALL)
OFFICE_ERROR: Final = re.compile(r"Err:5\d\d")
_LATER: Final = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_LATER_BYTES: Final = bytes(range(0x80, 0xC0))
_LATER_MAC: Final = f"[{re.escape(_LATER_BYTES.decode('mac_roman'))}]"
_LATER_DOS: Final = f"[{re.escape(_LATER_BYTES.decode('cp437') + _LATER_BYTES.decode('cp850'))}]"
MISREAD: Final = re.compile(
    f"[ÂÃ]{_LATER}|(?:[ÐÑ]{_LATER}){{2}}|â€{_LATER}|(?:à[¤¥¦§¨]{_LATER})|[äåæçèé]{_LATER}{{2}}"
    f"|[√¬]{_LATER_MAC}|‚Ä{_LATER_MAC}|[├┬]{_LATER_DOS}|[ΓÔ]Ç{_LATER_DOS}"
)
"""UTF-8 that was read in another encoding and saved again: as cp1252 `Ã¼`, `â€™`, `à¤¨`; as Mac Roman `√º`,
`‚Äô`; as DOS code page `├╝`, `ΓÇÖ`."""
QUESTION_MARKS: Final = re.compile(r"(?=[^?]*\?{2,}[^\w?]*\?{2,}|\?{4,})[?\W]+")
"""Letters that another encoding could not hold: `????? ???`."""
POINT_ZERO: Final = re.compile(r"[+-]?\d+\.0", re.ASCII)
FIRST: Final = re.compile(r"\x1f *(?:[=#'<\\(\[]|NULL|NaN|nan|NaT|Err:5|Loading)")
SHORT: Final = re.compile(r"[\x1f +-]\d(?:[.,]\d+)?[Ee][+-]\d{2,3} *(?:\x1f|$)", re.ASCII)
"""In the cells of a row, U+001F before each: how texts begin that may be damaged, and numbers cut short."""

_ERROR_REASON: Final = (
    "The cell shows {}, an error that a spreadsheet left there as text. Correct the formula in the workbook"
    " that it comes from and export it again, or enter the value."
)
_SHORTENED_REASON: Final = (
    "Excel cut a long number short (as 9.19877E+11); its other digits are lost. Export the sheet again from"
    " its origin, or format the column as Text in Excel before you save it as CSV."
)
_NARROW_REASON: Final = (
    "The cell holds number signs only: its column was too narrow when the sheet was saved as text. Make the"
    " column wider and save it again."
)
_LONG_REASON: Final = (
    f"The cell has more than {CELL_LENGTH_MAX:,} characters. Shorten it, or keep the text elsewhere."
)


NOTHING_TO_DO: Final = "Nothing needs to be done."
_NOTICES: Final = {
    "text-formula": (
        "{cell} guards a text for Excel; {text} is sent, as Excel shows it.", NOTHING_TO_DO,
    ),
    "formula": (
        "{cell} is a formula; it is sent as it is written, not what a spreadsheet shows of it.",
        "Save the sheet as CSV from the spreadsheet program, which writes the results.",
    ),
    "vertical-tab": (
        "{cell} holds the line break of FileMaker or Word (U+000B); a usual one is sent.", NOTHING_TO_DO,
    ),
    "database-null": (
        "{cell} is what databases write for nothing; it is sent as a text.",
        "If it means nothing, empty these cells in the sheet (find and replace).",
    ),
    "guarding-apostrophe": (
        "The apostrophe before {text} guards it in Excel, which does not show it; it is sent.",
        "If it does not belong to the value, delete it in the sheet.",
    ),
    "wrong-encoding": (
        "{cell} seems to be UTF-8 text that was read in another encoding and saved.",
        "Export the sheet again from its origin as CSV UTF-8.",
    ),
    "question-marks": (
        "{cell} holds question marks only: an encoding without its letters may have lost them.",
        "Export the sheet again from its origin as CSV UTF-8.",
    ),
    "lost-digits": (
        "{cell} is how programs shorten great numbers; its last digits may be lost.",
        "If it is a code or a phone number, export the sheet again with that column as text.",
    ),
    "point-zero": (
        "Every number of the column ends in .0, as {cell} does: a tool may have added it.",
        "If the codes have no decimals, export the column as text.",
    ),
}  # fmt: skip
"""By kind: message and remedy of a cell whose value is there, but looks odd."""
_ODD: Final[dict[str, Callable[[str], object]]] = {
    "database-null": EMPTY_WORDS.__contains__,
    "guarding-apostrophe": APOSTROPHE.fullmatch,
    "question-marks": QUESTION_MARKS.fullmatch,
    "lost-digits": SHORTENED_ELSEWHERE.fullmatch,
    "wrong-encoding": MISREAD.search,
}
"""The first of these that a text is, or holds, is named."""


def find_damage(cells: list[str], header: Sequence[str], *, formulas: bool = True) -> tuple[CellFinding, ...]:
    """What is found in a row's texts, which are replaced where they show something else. formulas: texts that
    begin with `=` are some (in a workbook Excel shows ="00417" as it is)."""
    if not _may_be_damaged("\x1f".join(("", *cells))):
        return ()
    found: list[CellFinding] = []
    for index, cell in enumerate(cells):
        text = cell.strip(" ")
        if not text or type(cell) is not str:
            continue
        read, kind, inside = _examined(cell, text, formulas=formulas)
        cells[index] = read
        if kind:
            found.append(odd_value(kind, header, index, cell, inside))
    return tuple(found)


def _may_be_damaged(row: str) -> bool:
    """Whether the cells of a row are worth a look, since most are not. row: U+001F before each cell."""
    return (
        FIRST.search(row) is not None
        or "\x0b" in row
        or "??" in row
        or (("E+" in row or "e+" in row or "E-" in row) and SHORT.search(row) is not None)
        or (not row.isascii() and MISREAD.search(row) is not None)
    )


def _examined(cell: str, text: str, *, formulas: bool) -> tuple[str, str, str]:
    """The cell as it is to be read, the kind of notice about it if there is one, and the text inside. text:
    the cell without outer blanks."""
    if formulas and (guarded := unguarded(text)) is not None:
        return guarded, "text-formula", guarded
    if reason := _lost(text):
        return ErrorCell(cell, reason), "", ""
    if formulas and FORMULA.fullmatch(text):
        return cell, "formula", ""
    if "\x0b" in cell:
        return cell.replace("\x0b", "\n"), "vertical-tab", ""
    kinds = (kind for kind, is_so in _ODD.items() if is_so(text))
    return cell, next(kinds, ""), text[1:]


def unguarded(text: str) -> str | None:
    """The text that a formula such as `="00417"` guards for Excel; None for any other text."""
    formula = GUARDED_TEXT.fullmatch(text)
    return None if formula is None else formula[1].replace('""', '"')


def odd_value(kind: str, header: Sequence[str], index: int, cell: str, inside: str = "") -> CellFinding:
    """The notice of a cell. kind: one of `_NOTICES`. inside: the text that is meant, where it is another."""
    message, remedy = (each.format(cell=quoted(cell), text=quoted(inside)) for each in _NOTICES[kind])
    if kind in ("question-marks", "lost-digits"):
        kind = "lost-characters"
    return CellFinding(Severity.NOTICE, header[index], index, kind, cell[:VALUE_SHOWN_MAX], message, remedy)


def refuse_long(cells: list[str]) -> None:
    """Replace the cells that are longer than any that is read."""
    for index, cell in enumerate(cells):
        if len(cell) > CELL_LENGTH_MAX:
            cells[index] = ErrorCell(cell, _LONG_REASON)


def point_zero_columns(rows: Iterable[Sequence[str]], width: int) -> list[int]:
    """The columns in which every number ends in `.0`, and several do. width: of the headings."""
    zeros = dict.fromkeys(range(width), 0)
    for cells in rows:
        for index in tuple(zeros):
            text = cells[index] if index < len(cells) else ""
            if POINT_ZERO.fullmatch(text):
                zeros[index] += 1
            elif text and text not in EMPTY_WORDS:
                del zeros[index]
        if not zeros:
            break
    return [index for index, found in zeros.items() if found > 1]


def _lost(text: str) -> str | None:
    """Why the value is not in the file any more."""
    if text in ERRORS or OFFICE_ERROR.fullmatch(text):
        return _ERROR_REASON.format(text)
    if len(text) >= 4 and not text.strip("#"):
        return _NARROW_REASON
    return _SHORTENED_REASON if SHORTENED.fullmatch(text) else None
