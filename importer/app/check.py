"""`check`: a sheet and its mapping → findings, preview, duration, earlier imports. Sends nothing."""

from __future__ import annotations

from importer.app.observer import SILENT, Observer
from importer.app.options import CheckOptions
from importer.app.records import CheckReport


async def check(options: CheckOptions, store: object, observer: Observer = SILENT) -> CheckReport:
    """Reads and maps every row. Offline but with `options.online`; nothing is left behind.

    store: None where nothing is known of earlier imports. Raises SheetError, MappingError, SettingsError.
    """
    raise NotImplementedError
