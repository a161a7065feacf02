"""When a run stops or waits by itself: identical refusals, calls without an answer, `--limit`. Pure."""

from __future__ import annotations

import re
from typing import Final

IDENTICAL_ANSWERS: Final = 20
UNANSWERED_MAX: Final = 24
"""With the reads that test whether the outage is over, fewer than 30 calls in an outage's first minute."""
_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F-]{32,36}|\d+")


class IdenticalRefusals:
    """Whether a run's first answers are all the same refusal: then the mapping is wrong, not the rows."""

    def __init__(self) -> None:
        self._answers = 0
        self._kinds: set[tuple[str, str]] = set()
        self._over = False

    def created(self) -> None:
        self._over = True

    def refused(self, code: str, message: str) -> bool:
        """One more refusal; True when it completes IDENTICAL_ANSWERS that are the same (values masked)."""
        if self._over:
            return False
        self._answers += 1
        self._kinds.add((code, _VALUES.sub("…", message)))
        self._over = len(self._kinds) > 1 or self._answers >= IDENTICAL_ANSWERS
        return len(self._kinds) == 1 and self._answers >= IDENTICAL_ANSWERS


class UnansweredCalls:
    """How many calls left after the newest one that LeadSquared answered.

    A tenant that answers nothing, or nothing of use (a gateway that gives up after half a minute), gets no
    more than a few calls before it is seen how these end.
    """

    def __init__(self) -> None:
        self._left = 0
        self._answered = 0
        self._under_way = 0

    @property
    def too_many(self) -> bool:
        return self._left - self._answered >= UNANSWERED_MAX and self._under_way > 0

    def begin(self) -> int:
        """The number of a call that leaves now."""
        self._left += 1
        self._under_way += 1
        return self._left

    def end(self, number: int, *, answered: bool) -> None:
        self._under_way -= 1
        if answered:
            self._answered = max(self._answered, number)


class RowLimit:
    """Which rows may be sent under `--limit`: the first so many that come, and those again."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._granted: set[int] = set()

    @property
    def reached(self) -> bool:
        return self._limit is not None and len(self._granted) >= self._limit

    def grant(self, position: int) -> bool:
        """Whether the row may be sent."""
        if self._limit is None or position in self._granted:
            return True
        if self.reached:
            return False
        self._granted.add(position)
        return True
