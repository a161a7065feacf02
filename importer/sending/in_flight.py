"""Calls under way, by account, for those who have to wait until they have landed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Flight:
    """One call, from before its mark until its outcome is recorded, or cannot be."""

    __slots__ = ("account", "landing")

    def __init__(self, account: str) -> None:
        self.account = account
        self.landing: asyncio.Future[None] | None = None
        """What others wait for; made for the first who does, since hardly anybody ever does."""


class Flights:
    """Those of one posting. `len()` of it: how many calls are under way."""

    def __init__(self) -> None:
        self._on_account: dict[str, set[Flight]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._on_account.values()))

    def __bool__(self) -> bool:
        return bool(self._on_account)

    def take_off(self, account: str) -> Flight:
        flight = Flight(account)
        self._on_account.setdefault(account, set()).add(flight)
        return flight

    def land(self, flight: Flight) -> None:
        if flight.landing is not None:
            flight.landing.set_result(None)
        others = self._on_account[flight.account]
        others.discard(flight)
        if not others:
            del self._on_account[flight.account]

    async def landed(self, accounts: Iterable[str] | None = None, longest_s: float | None = None) -> None:
        """Until what is under way now on these accounts (None: on all) has landed, or for so long."""
        waited_for = self._on_account if accounts is None else accounts
        flights = [flight for account in waited_for for flight in self._on_account.get(account, ())]
        if flights:
            await asyncio.wait(list(map(_landing, flights)), timeout=longest_s)


def _landing(flight: Flight) -> asyncio.Future[None]:
    if flight.landing is None:
        flight.landing = asyncio.get_running_loop().create_future()
    return flight.landing
