"""Where a process keeps the rules of its pace: by itself, or in the record that all processes share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeVar

from importer.pacing.rules import MARGIN, Rules
from importer.pacing.shared import RecordUnavailableError, SharedPace
from importer.pacing.window import Rate

T = TypeVar("T")
APART_BELOW_S: Final = 0.005
"""Calls that follow each other faster than this do not go through the record one by one."""
MEET_EVERY_S: Final = 0.05
NOTICED_S: Final = 0.25
"""By then every process has met a new one."""
TRY_AGAIN_S: Final = 5.0
"""After the record could not be used."""


class OwnBook:
    """The rules of a process that is alone."""

    owner: Final = ""
    neighbours: Final = 0
    parts: Final = 1

    def __init__(self, rate: Rate) -> None:
        self.rules = Rules.of(rate)

    def look(self, now: float, *, at_once: bool = False) -> None:
        """Nobody else changes them."""

    def change(self, now: float, change: Callable[[Rules], T]) -> T:
        """Change the rules; gives what `change` gives."""
        return change(self.rules)


class SharedBook:
    """The rules of all processes, as this one sees them.

    Together: every change is made in the record. Apart, where calls follow each other too quickly for that or
    the record cannot be used: each process keeps to its part of the rate, and they meet now and then.
    """

    def __init__(self, rate: Rate, shared: SharedPace) -> None:
        self.rules = Rules.of(rate)
        self._rate = rate
        self._shared = shared
        self._apart = False
        self._broken = False
        self._meet_at = -math.inf

    @property
    def owner(self) -> str:
        """Under which name our calls stand in the record."""
        return self._shared.owner

    @property
    def neighbours(self) -> int:
        """How many other processes there are."""
        return self._shared.neighbours

    @property
    def parts(self) -> int:
        """By how much our own spacing grows."""
        return 1 + self._shared.neighbours if self._apart else 1

    def look(self, now: float, *, at_once: bool = False) -> None:
        """Learn what the others have learnt, if it is time to. `at_once`: there is something to tell them."""
        if self._meet_at == -math.inf:
            self.change(now, lambda _: None)
            if self._apart and self.neighbours:  # until they have noticed us, and their calls count no more
                self.rules.next_slot_at = now + self.rules.ceiling.period_s * MARGIN + NOTICED_S
        elif self._apart and (now >= self._meet_at or (at_once and not self._broken)):
            self._together(now, self.rules.meet)
            if not self._broken and not self._apart:
                self.change(now, lambda _: None)

    def change(self, now: float, change: Callable[[Rules], T]) -> T:
        """Change the rules, those of all processes if they are together; gives what `change` gives."""
        if self._apart:
            return change(self.rules)
        try:
            self.rules, answer = self._shared.change(now, self._rate, change)
        except RecordUnavailableError:
            self._part(now)
            return change(self.rules)
        self._met(now)
        return answer

    def _together(self, now: float, change: Callable[[Rules], None]) -> None:
        try:
            self._shared.change(now, self._rate, change)
        except RecordUnavailableError:
            self._part(now)
        else:
            self._met(now)

    def _met(self, now: float) -> None:
        self._broken = False
        self._meet_at = now + MEET_EVERY_S
        self._apart = self.rules.spacing_s(now) < APART_BELOW_S

    def _part(self, now: float) -> None:
        self._apart = self._broken = True
        self._meet_at = now + TRY_AGAIN_S
