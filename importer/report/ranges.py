"""Row numbers as people write them: `5, 9–12 and 340 more`. Bounded, whatever comes in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RowNumbers:
    """Ascending row numbers, kept as ranges; beyond `most` ranges they are only counted."""

    most: int = 24
    count: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    beyond: int = 0

    def add(self, number: int) -> None:
        self.count += 1
        if not self.beyond and self.ranges and number == self.ranges[-1][1] + 1:
            self.ranges[-1][1] = number
        elif len(self.ranges) < self.most:
            self.ranges.append([number, number])
        else:
            self.beyond += 1

    def __str__(self) -> str:
        named = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in self.ranges)
        return f"{named} and {self.beyond:,} more" if self.beyond else named
