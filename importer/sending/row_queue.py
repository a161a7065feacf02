"""Which row is sent next: source order, and never two at once that a match could not tell apart."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus, StoredRow

AHEAD_ROWS: Final = 500


class RowQueue:
    """Rows of a batch on their way to the workers. Holds a few hundred, whatever the batch's size.

    A row's *conflict keys* are the keys under which a lookup could take another row's activity for its own
    (of what it would send, and of all that its attempts in doubt did send). While one of them is held, other
    rows with it wait here.
    """

    def __init__(self, rows: BatchRows, keys_of: Callable[[StoredRow], Collection[bytes]]) -> None:
        self._rows = rows
        self._keys_of = keys_of
        self._held: dict[int, set[bytes]] = {}
        self._holders: Counter[bytes] = Counter()
        self._claimed: dict[int, StoredRow] = {}
        self._after = 0
        self._ahead: deque[StoredRow] = deque()
        self._returned: deque[StoredRow] = deque()
        self._waiting: dict[bytes, deque[StoredRow]] = {}
        self._waited_for: dict[int, bytes] = {}
        self.exhausted = False
        self.elsewhere: set[int] = set()
        """Positions that come back by another way (in doubt when the batch was opened), never from here."""

    def __repr__(self) -> str:
        return f"<RowQueue after={self._after} returned={len(self._returned)} waiting={self.waiting}>"

    @property
    def waiting(self) -> int:
        """Rows that wait until another row with the same conflict key is no longer in doubt."""
        return sum(map(len, self._waiting.values()))

    @property
    def returned(self) -> bool:
        """A row that was claimed before waits to be claimed again."""
        return bool(self._returned)

    @property
    def empty(self) -> bool:
        """Nothing can be claimed now, and without a `release` or `put_back` nothing ever will be."""
        return self.exhausted and not self._ahead and not self._returned

    def take(self) -> StoredRow | None:
        """The next row that may be sent; its conflict keys are held until `release`. None: nothing now."""
        while (row := self._next()) is not None:
            keys = tuple(self._keys_of(row))
            taken = next((key for key in keys if self._holders[key]), None)
            waited_for = self._waited_for.pop(row.position, None)
            if waited_for is not None and waited_for != taken and (taken or waited_for not in keys):
                self._wake(waited_for)  # this row will not release it: its keys have changed meanwhile
            if taken is None:
                self._claimed[row.position] = row
                self.hold(row.position, keys)
                return row
            self._waiting.setdefault(taken, deque()).append(row)
        return None

    def _next(self) -> StoredRow | None:
        if self._returned:
            return self._returned.popleft()
        while not self._ahead and not self.exhausted:
            chunk = self._rows.chunk(RowStatus.PENDING, self._after, AHEAD_ROWS)
            self.exhausted = len(chunk) < AHEAD_ROWS
            self._ahead.extend(row for row in chunk if row.position not in self.elsewhere)
            if chunk:
                self._after = chunk[-1].position
        return self._ahead.popleft() if self._ahead else None

    def put_back(self, row: StoredRow) -> None:
        """A claimed row that was not sent: it goes first."""
        self.release(row.position)
        self._returned.append(row)

    def hold(self, position: int, keys: Iterable[bytes]) -> None:
        """Holds these conflict keys for a row, besides those that it holds."""
        held = self._held.setdefault(position, set())
        more = set(keys) - held
        held |= more
        self._holders.update(more)

    def refresh_keys(self) -> None:
        """More rows look the same than was known: claimed rows hold their new keys too."""
        for row in self._claimed.values():
            self.hold(row.position, self._keys_of(row))

    def conflicting(self, position: int) -> set[int]:
        """Other rows that hold a key of this one's: claimed before it was known that they look the same."""
        keys = self._held.get(position, set())
        if all(self._holders[key] == 1 for key in keys):
            return set()
        return {
            other for other, held in self._held.items() if other != position and not keys.isdisjoint(held)
        }

    def release(self, position: int) -> None:
        """Ends a `take` or `hold`; a row that waits for these keys may go."""
        self._claimed.pop(position, None)
        for key in self._held.pop(position, ()):
            self._holders[key] -= 1
            if self._holders[key] <= 0:
                del self._holders[key]
                self._wake(key)

    def _wake(self, key: bytes) -> None:
        """The next row that waits for this key may try again."""
        waiting = self._waiting.get(key)
        if not waiting:
            return
        row = waiting.popleft()
        self._waited_for[row.position] = key
        self._returned.append(row)
        if not waiting:
            del self._waiting[key]
