"""The store of this computer or team: opened, described, copied."""

from __future__ import annotations

from importer.app.observer import SILENT, Observer
from importer.app.records import StoreInfo


def open_store() -> object:
    """The store in force: `IMPORTER_STORE`, else `IMPORTER_HOME/importer.db`. A context manager. Raises
    SettingsError, StoreError."""
    raise NotImplementedError


def store_info(store: object) -> StoreInfo:
    """Where it is, its version, what it holds."""
    raise NotImplementedError


def copy_store(store: object, url: str, observer: Observer = SILENT) -> StoreInfo:
    """Takes an embedded store along to the team's; from then on it is read-only. Raises StoreError."""
    raise NotImplementedError
