"""What a sheet looks like through a mapping: every row counted, problems and notices gathered. Pure.

`check` and `run` look at each row with this same code, so that they never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from importer.activity import Activity
from importer.checking.findings import Findings, Problem, Twins

FIRST_KEPT: Final = 2


class Survey:
    """Counts and findings of the rows taken in so far.

    first: the first `FIRST_KEPT` valid rows with their activities, for a preview.
    `rows` is always `valid + invalid`.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.valid = 0
        self.problems = Findings()
        self.notices = Findings()
        self.twins = Twins()
        self.first: list[tuple[int, Activity]] = []

    def __repr__(self) -> str:
        return f"<Survey {self.valid} of {self.rows} rows valid, {self.problems!r}>"

    @property
    def invalid(self) -> int:
        """Rows with at least one problem."""
        return self.rows - self.valid

    def take(
        self, number: int, mapped: Activity | Sequence[Problem], notices: Sequence[Problem] = ()
    ) -> None:
        """Row `number` became `mapped`: an activity, or its problems. notices: what arrives otherwise than
        it looks; not counted for rows that have problems, since mending those comes first."""
        self.rows += 1
        if not isinstance(mapped, Activity):
            for problem in mapped:
                self.problems.add(number, problem)
            return
        self.valid += 1
        self.twins.add(number, mapped)
        if len(self.first) < FIRST_KEPT:
            self.first.append((number, mapped))
        for notice in notices:
            self.notices.add(number, notice)
