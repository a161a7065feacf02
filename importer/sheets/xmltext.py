"""Texts of a workbook: Excel escapes characters that XML cannot hold as `_xHHHH_`."""

from __future__ import annotations

import re
from typing import Final

from importer.sheets.rows import ErrorCell

ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
NO_TEXT: Final = (
    "The cell holds a character that is not text (NUL, or half of another one). Enter the value again."
)


def error_cell(text: str) -> ErrorCell:
    """The cell of an error value such as `#N/A`."""
    return ErrorCell(text, f"The cell shows {text}, an error. Correct its formula, or enter the value.")


def plain_text(text: str) -> str:
    """The text as Excel shows it, `_x000D_` and the like decoded; an ErrorCell if it could not be sent.

    >>> plain_text("one_x000A_two _x005F_x000A_")
    'one\\ntwo _x000A_'
    """
    if "_x" not in text:
        return text
    return sendable(ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))


def sendable(text: str) -> str:
    """The text, halves of characters joined; an ErrorCell if it holds what no message could carry."""
    if NO_CHARACTER.search(text) is None:
        return text
    try:
        joined = text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        joined = None
    if joined is None or "\0" in joined:
        return ErrorCell(NO_CHARACTER.sub("\ufffd", text), NO_TEXT)
    return joined
