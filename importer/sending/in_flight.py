"""Calls under way, by account, for those who have to wait until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InFlight:
    """The calls of one run, from before the mark until the outcome is recorded, or cannot be.

    `len()` of it: how many there are.
    """

    def __init__(self) -> None:
        self._on_account: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._on_account.values()))

    @contextmanager
    def call(self, account: str) -> Iterator[None]:
        """A call for a row of this account is under way inside this block."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_account.setdefault(account, set()).add(ended)
        try:
            yield
        finally:
            ended.set_result(None)
            others = self._on_account[account]
            others.discard(ended)
            if not others:
                del self._on_account[account]

    async def ended(self, accounts: Iterable[str] | None = None, longest_s: float | None = None) -> None:
        """Until the calls that are under way now on these accounts (None: all) have ended, or for so long."""
        wanted = self._on_account if accounts is None else accounts
        calls = [call for account in wanted for call in self._on_account.get(account, ())]
        if calls:
            await asyncio.wait(calls, timeout=longest_s)
