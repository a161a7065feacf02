"""When to stop sending because the tenant, not a row, is in trouble. Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FAILURES_TO_OPEN: Final = 5
ROWS_TO_OPEN: Final = 3
PROBE_FIRST_S: Final = 1.0
PROBE_LONGEST_S: Final = 60.0


class Streak:
    """Calls of one kind that failed one after the other, for reasons that are not their rows'."""

    def __init__(self, failures_to_open: int, rows_to_open: int) -> None:
        self.failures = 0
        self._failures_to_open = failures_to_open
        self._rows_to_open = rows_to_open
        self._rows: set[int] = set()

    def failed(self, position: int) -> None:
        self.failures += 1
        self._rows.add(position)

    def end(self) -> None:
        self.failures = 0
        self._rows.clear()

    @property
    def is_outage(self) -> bool:
        """Too many, and of too many rows, to be theirs."""
        return self.failures >= self._failures_to_open and len(self._rows) >= self._rows_to_open


class Breaker:
    """Opens when calls of several different rows fail one after the other.

    While it is open nothing is claimed and nothing looked up; a read is tried at growing intervals, then one
    row, each time another, so that one bad row cannot keep it open. An answer to a Create closes it; if only
    reads had failed, an answer to a read does. Reading back, which has no Creates, opens it at once.
    """

    def __init__(
        self,
        max_outage_s: float,
        clock: Callable[[], float],
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        rows_to_open: int = ROWS_TO_OPEN,
    ) -> None:
        self.max_outage_s = max_outage_s
        self.is_open = False
        self.refused_for_rate = False
        self._costless = False
        self._clock = clock
        self._sends = Streak(failures_to_open, rows_to_open)
        self._reads = Streak(failures_to_open, rows_to_open)
        self._probes = 0
        self._trouble_since: float | None = None

    def __repr__(self) -> str:
        failures = f"sends={self._sends.failures} reads={self._reads.failures}"
        return f"<Breaker open={self.is_open} {failures} trouble_s={self.trouble_s:.1f}>"

    @property
    def trouble_s(self) -> float:
        """Seconds since the first failure after the last answer; 0 while all is well."""
        return 0.0 if self._trouble_since is None else self._clock() - self._trouble_since

    @property
    def exhausted(self) -> bool:
        """The outage has lasted longer than the person allows.

        One or two rows that fail are none: they cost attempts, and end when these are used up.
        """
        lasting = self.is_open or self.refused_for_rate or self._costless
        return lasting and self._trouble_since is not None and self.trouble_s >= self.max_outage_s

    def answered(self) -> None:
        """The tenant dealt with a row: it was created, or refused for what it is."""
        self._sends.end()
        self._reads.end()
        self._all_is_well()

    def read_answered(self) -> None:
        """A read was answered. That says nothing of Creates that fail."""
        self._reads.end()
        if not self._sends.failures and not self.refused_for_rate:
            self._all_is_well()

    def failed(self, position: int, *, costless: bool = False) -> None:
        """A Create for this row ended for a reason that is not the row's. costless: it spent no attempt."""
        self._costless = self._costless or costless
        self._sends.failed(position)
        self._failed()

    def read_failed(self, position: int) -> None:
        """A read of this row's account was not answered."""
        self._reads.failed(position)
        self._failed()

    def throttled(self) -> None:
        """Refused for the rate: no failure that counts, but no success either, and `max_outage_s` runs."""
        self._trouble()
        self.refused_for_rate = True

    def _failed(self) -> None:
        self._trouble()
        self.is_open = self.is_open or self._sends.is_outage or self._reads.is_outage

    def _trouble(self) -> None:
        if self._trouble_since is None:
            self._trouble_since = self._clock()

    def _all_is_well(self) -> None:
        self.is_open = False
        self.refused_for_rate = False
        self._costless = False
        self._probes = 0
        self._trouble_since = None

    def next_probe_s(self) -> float:
        """How long to wait before the next probe: 1, 2, 4 … 60 s, and never past `max_outage_s`."""
        wait_s = min(PROBE_FIRST_S * 2.0**self._probes, PROBE_LONGEST_S)
        self._probes = min(self._probes + 1, 16)
        return max(0.0, min(wait_s, self.max_outage_s - self.trouble_s))
