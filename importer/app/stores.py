"""The store of this computer or team: opened, described, copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.records import StoreInfo
from importer.errors import SettingsError
from importer.home import home
from importer.store import store as stores
from importer.store.store import Store

STORE_VARIABLE: Final = "IMPORTER_STORE"


def open_store(*, create: bool = True, notice: Callable[[str], None] | None = None) -> Store:
    """The store in force: `IMPORTER_STORE`, else `IMPORTER_HOME/importer.db`. A context manager.

    create: False for what leaves nothing behind; where there is no store yet, an empty one stands in.
    notice: hears of folders that other users could read, and now cannot.
    Raises SettingsError, StoreUnusableError.
    """
    own = home()
    for text in own.prepare() if create else ():
        if notice is not None:
            notice(text)
    return stores.open_store(own.root, store_url(), create=create)


def store_url() -> str | None:
    """`IMPORTER_STORE`; never from `.env`: a downloaded folder must not choose where customer data goes."""
    return os.environ.get(STORE_VARIABLE, "").strip() or None


def store_info(store: Store) -> StoreInfo:
    """Where it is, its version, what it holds."""
    batches = store.batches()
    return StoreInfo(
        location=store.location,
        dialect=store.dialect,
        version=store.version(),
        batches=len(batches),
        rows=sum(one.counts["rows"] for one in batches),
        size_bytes=store.size_bytes(),
        latency_ms=round(store.latency_s() * 1_000, 1),
        running=tuple(f"{one.batch.id}, {one.running_on}" for one in batches if one.running),
        team=store.moved_to or "",
    )


def copy_store(store: Store, url: str, observer: Observer = SILENT) -> StoreInfo:
    """Copies an embedded store to the team's; from then on it is read-only. Raises SettingsError,
    ResultsError (a batch is in use), StoreError."""
    if store.dialect != "sqlite":
        raise SettingsError(
            f"{STORE_VARIABLE} is set, so the store in use is not the one of this computer.",
            remedy=f"Unset {STORE_VARIABLE}, then copy.",
        )
    if stores.has_password(url):
        raise SettingsError(
            "A password must not be part of the address: others can see options.",
            remedy="Leave it out, and keep it in the file that PGPASSFILE names (or ~/.pgpass).",
        )
    total = sum(one.counts["rows"] for one in store.batches())
    with stores.open_store(home().root, url) as other:
        store.copy_to(other, lambda rows: observer.progress(Progress(Stage.COPYING, rows, total)))
        return store_info(other)
