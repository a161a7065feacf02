"""The one writer of a batch while it is sent: many rows, one commit.

A thread takes whatever has gathered since its last commit and writes it in one transaction; only then is it
said to be there. A failure is final: nothing more is taken, so no further call can leave without its mark.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from importer.errors import StoreError
from importer.store.ownership import Ownership
from importer.store.records import Entry


class IdTakenError(StoreError):
    """This entry gives a row the Id that another row has. It was not written; whatever else is, can be."""


class StoreWriter:
    """Writes from `start` to `close`. To be used from one event loop. wall: Unix seconds.

    failure: why nothing more is taken; None as long as all is well. outstanding: entries not yet durable.
    """

    failure: StoreError | None
    outstanding: int
    wall: Callable[[], float]

    def __init__(self, owned: Ownership, wall: Callable[[], float] = time.time) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Starts the thread. To be called in the loop."""
        raise NotImplementedError

    async def mark(self, position: int, body: bytes | None, clock_difference: float) -> tuple[int, float]:
        """Durably marks a pending row as being sent; the attempt's id and the time of the mark (`wall`).

        body: what is sent, None when that is the row's activity. Raises StoreError."""
        raise NotImplementedError

    async def write(self, entry: Entry) -> None:
        """Returns once `entry` is durable. Raises StoreError (IdTakenError) when it is not and never will
        be."""
        raise NotImplementedError

    def submit(self, entry: Entry) -> asyncio.Future[None]:
        """The same without waiting. Entries become durable in the order of their submission. Raises
        StoreError at once when something before it could not be written."""
        raise NotImplementedError

    async def close(self) -> bool:
        """Returns when all that was submitted is durable (True), or has failed. Idempotent."""
        raise NotImplementedError
