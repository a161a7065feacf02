"""Answers that are held back until somebody says so, so that a test can stop the world at one instant."""

from __future__ import annotations

import asyncio


class Holds:
    """The calls whose answers wait, by their numbers."""

    def __init__(self) -> None:
        self._events: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Holds {self.numbers}>"

    @property
    def numbers(self) -> list[int]:
        """Numbers of the calls that wait, oldest first."""
        return list(self._events)

    async def hold(self, number: int, seconds: float) -> None:
        """Waits until released, at most so long."""
        event = self._events[number] = asyncio.Event()
        self._changed.set()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._events.pop(number, None)

    async def holding(self, count: int = 1) -> list[int]:
        """Waits until so many answers are held back. No limit of its own: put one around it."""
        while len(self._events) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.numbers

    def release(self, number: int | None = None) -> int:
        """Lets one held answer go, or all; how many went."""
        numbers = self.numbers if number is None else [number]
        events = [event for each in numbers if (event := self._events.get(each)) is not None]
        for event in events:
            event.set()
        return len(events)
