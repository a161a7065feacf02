"""The formats, by the way in which they are read."""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """A format, by the way in which it is read."""

    TEXT = "delimited text"
    XLSX = "an Excel workbook"
    XLSB = "a binary Excel workbook (.xlsb)"
    ODS = "an OpenDocument spreadsheet (.ods)"
    XLS = "an old Excel workbook (.xls)"
