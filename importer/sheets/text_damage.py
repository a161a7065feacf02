"""What spreadsheets, databases and wrong encodings leave in the texts of cells, mostly of text files.

Looked for whatever the field's type: an import into a text field would send `#N/A` or `9.19877E+11` unseen.
A cell whose value is lost becomes an `ErrorCell`; where the value is there but looks odd, a notice says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from operator import itemgetter
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
ODD_INSIDE: Final = re.compile(
    r"(?:^|[\x1f +-])\d(?:[.,]\d+)?[Ee][+-]\d{2,3} *(?:\x1f|$)|\x0b|\?\?", re.ASCII
)
"""In the cells of a row, joined: a number cut short, a vertical tab, question marks."""
POINT_ZERO: Final = re.compile(r"[+-]?\d+\.0", re.ASCII)

MARKS: Final = (
    "=", "#", "Err:5", "E+", "E-0", "E-1", "'", "NULL", "null", "\\N", "NaN", "nan", "NaT", "<NA>", "\x0b",
    "Â", "Ã", "Ð", "Ñ", "â€", "à¤", "à¥", "à¦", "à§", "à¨", "ä", "å", "æ", "ç", "è", "é",
    "Loading...", "√", "¬", "‚Ä", "├", "┬", "ΓÇ", "ÔÇ", "????", "?? ??", "e+",
)  # fmt: skip
"""Without one of these in the file there is nothing to look for."""

_FIRST: Final = {"=": "=", "#": "#", "Err:5": "E", "'": "'", "\\N": "\\", "<NA>": "<", "Loading...": "L"}
_FIRST_CHARACTER: Final = itemgetter(slice(1))
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
_LOST_CHARACTERS: Final = {"question-marks": QUESTION_MARKS, "lost-digits": SHORTENED_ELSEWHERE}
"""What the kind `lost-characters` can mean here."""
ZEROS_NAMED: Final = 1_000
"""More cells of a column than anybody is shown: of further ones it is enough that they are counted."""


class DamageFinder:
    """Looks at the texts of one file, of which it is known what occurs somewhere in it."""

    def __init__(self, header: Sequence[str], holds: Collection[str]) -> None:
        """holds: which of `MARKS` the file has."""
        self._header = header
        self._zeros: dict[int, list[CellFinding]] = {}
        starts = {first for mark, first in _FIRST.items() if mark in holds}
        if {"NULL", "null", "NaN", "nan", "NaT"}.intersection(holds):
            starts |= set("Nn([<")
        if starts:
            starts.add(" ")
        self._starts = frozenset(starts)
        self._inside = tuple({"E+", "E-0", "E-1", "e+", "\x0b"}.intersection(holds))
        if {"????", "?? ??"}.intersection(holds):
            self._inside += ("??",)
        self._may_be_misread = any(mark > "\x7f" for mark in holds)
        self.active = bool(starts or self._inside or self._may_be_misread)

    def look(self, cells: list[str]) -> tuple[CellFinding, ...]:
        """What is found in a row's texts, which are replaced where they show something else."""
        if not self._may_hold(cells):
            return ()
        found: list[CellFinding] = []
        for index, cell in enumerate(cells):
            if cell and type(cell) is str:
                cells[index], finding = self._examined(index, cell)
                if finding is not None:
                    found.append(finding)
        return tuple(found)

    def _may_hold(self, cells: Collection[str]) -> bool:
        return not self._starts.isdisjoint(map(_FIRST_CHARACTER, cells)) or self._is_odd("\x1f".join(cells))

    def _is_odd(self, text: str) -> bool:
        """Whether a row's text may show something else; a plain look first, since most do not."""
        return (any(mark in text for mark in self._inside) and ODD_INSIDE.search(text) is not None) or (
            self._may_be_misread and not text.isascii() and MISREAD.search(text) is not None
        )

    def _examined(self, index: int, cell: str) -> tuple[str, CellFinding | None]:
        """The cell as it is to be read, and what is worth saying of it."""
        text = cell.strip(" ")
        if not text:
            return cell, None
        may_be_formula = text[0] == "=" and "=" in self._starts
        formula = GUARDED_TEXT.fullmatch(text) if may_be_formula else None
        if formula is not None:
            inside = formula[1].replace('""', '"')
            return inside, self._notice("text-formula", index, cell, inside)
        reason = _lost(text)
        if reason is not None:
            return ErrorCell(cell, reason), None
        if may_be_formula and FORMULA.fullmatch(text):
            return cell, self._notice("formula", index, cell)
        if "\x0b" in cell:
            return cell.replace("\x0b", "\n"), self._notice("vertical-tab", index, cell)
        return cell, self._odd(index, cell, text)

    def _odd(self, index: int, cell: str, text: str) -> CellFinding | None:
        if text in EMPTY_WORDS:
            return self._notice("database-null", index, text)
        if text[0] == "'" and APOSTROPHE.fullmatch(text):
            return self._notice("guarding-apostrophe", index, cell, text[1:])
        for kind, pattern in _LOST_CHARACTERS.items():
            if pattern.fullmatch(text):
                return self._notice(kind, index, cell)
        return self._notice("wrong-encoding", index, cell) if MISREAD.search(cell) else None

    def _notice(self, kind: str, index: int, cell: str, text: str = "") -> CellFinding:
        heading = self._header[index] if index < len(self._header) else None
        value = cell[:VALUE_SHOWN_MAX]
        message, remedy = (each.format(cell=quoted(cell), text=quoted(text)) for each in _NOTICES[kind])
        if kind in _LOST_CHARACTERS:
            kind = "lost-characters"
        return CellFinding(Severity.NOTICE, heading, index, kind, value, message, remedy)

    @staticmethod
    def shorten(cells: list[str]) -> None:
        """Refuse the cells that are longer than any that is read."""
        for index, cell in enumerate(cells):
            if len(cell) > CELL_LENGTH_MAX:
                cells[index] = ErrorCell(cell, _LONG_REASON)

    def point_zero(self, index: int, cell: str) -> CellFinding:
        """The notice of a cell in a column whose every number ends in `.0`."""
        named = self._zeros.setdefault(index, [])
        if len(named) < ZEROS_NAMED:
            named.append(self._notice("point-zero", index, cell))
        return named[-1]


def _lost(text: str) -> str | None:
    """Why the value is not in the file any more."""
    if text in ERRORS or OFFICE_ERROR.fullmatch(text):
        return _ERROR_REASON.format(text)
    if len(text) >= 4 and not text.strip("#"):
        return _NARROW_REASON
    return _SHORTENED_REASON if SHORTENED.fullmatch(text) else None
