"""Which row is sent next: source order, and never two at once that a match could not tell apart."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

from importer.journal.journal import Journal, JournalRow, RowStatus

AHEAD_ROWS: Final = 500


class Claims:
    """Rows of a journal on their way to the workers. Holds a few hundred, whatever the batch's size.

    A row's *twins* are the keys under which a look could take another row's activity for its own (of what
    it would send, and of all that its attempts in doubt did send). While one of them is taken, other rows
    with it wait here. Twins are on one account, so a row that is alone on its own is let go without asking
    for its keys, which takes as long as the call's whole way through aiohttp; they are asked for when a
    second row of the account comes.

    account_of: what tells the accounts of two rows apart, whatever they are spelt like.
    """

    def __init__(
        self,
        journal: Journal,
        twins_of: Callable[[JournalRow], Collection[bytes]],
        account_of: Callable[[JournalRow], str],
    ) -> None:
        self._journal = journal
        self._twins_of = twins_of
        self._account_of = account_of
        self._accounts: dict[int, set[str]] = {}
        self._on_account: dict[str, set[int]] = {}
        self._held: dict[int, tuple[bytes, ...]] = {}
        self._rows: dict[int, JournalRow] = {}
        self._after = 0
        self._ahead: deque[JournalRow] = deque()
        self._returned: deque[JournalRow] = deque()
        self._waited_for: dict[int, bytes] = {}
        self._waiting: dict[bytes, deque[JournalRow]] = {}
        self._taken: Counter[bytes] = Counter()
        self.exhausted = False
        self.elsewhere: set[int] = set()
        """Positions that come back by another way (in doubt when the batch was opened), never from here."""

    def __repr__(self) -> str:
        waiting = sum(map(len, self._waiting.values()))
        return f"<Claims after={self._after} returned={len(self._returned)} waiting={waiting}>"

    @property
    def waiting(self) -> int:
        """Rows that wait for a twin's doubt to end."""
        return sum(map(len, self._waiting.values()))

    @property
    def returned(self) -> bool:
        """A row that was claimed before waits to be claimed again."""
        return bool(self._returned)

    @property
    def empty(self) -> bool:
        """Nothing can be claimed now, and without a `free` or `give_back` nothing ever will be."""
        return self.exhausted and not self._ahead and not self._returned

    def take(self) -> JournalRow | None:
        """The next row that may be sent; its twins are taken until `free`. None: nothing now."""
        while (row := self._next()) is not None:
            account = self._account_of(row)
            if account not in self._on_account and row.position not in self._waited_for:
                self._settle(row.position, account)
                self._rows[row.position] = row
                return row
            self._ask_for_keys(account)
            twins = tuple(self._twins_of(row))
            taken = next((twin for twin in twins if self._taken[twin]), None)
            waited_for = self._waited_for.pop(row.position, None)
            if waited_for is not None and waited_for != taken and (taken or waited_for not in twins):
                self._wake(waited_for)  # this row will not free it: what twins are has changed meanwhile
            if taken is None:
                self.hold(row.position, twins, [account])
                self._rows[row.position] = row
                return row
            self._waiting.setdefault(taken, deque()).append(row)
        return None

    def _next(self) -> JournalRow | None:
        if self._returned:
            return self._returned.popleft()
        while not self._ahead and not self.exhausted:
            chunk = self._journal.chunk(RowStatus.PENDING, self._after, AHEAD_ROWS)
            self.exhausted = len(chunk) < AHEAD_ROWS
            self._ahead.extend(row for row in chunk if row.position not in self.elsewhere)
            if chunk:
                self._after = chunk[-1].position
        return self._ahead.popleft() if self._ahead else None

    def give_back(self, row: JournalRow) -> None:
        """A claimed row that was not sent: it goes first."""
        self.free(row.position)
        self._returned.append(row)

    def _settle(self, position: int, account: str) -> None:
        self._accounts.setdefault(position, set()).add(account)
        self._on_account.setdefault(account, set()).add(position)

    def _ask_for_keys(self, account: str) -> None:
        """The row that was let go while it was alone on the account is not alone any more."""
        for position in self._on_account.get(account, ()):
            if position not in self._held:
                self.hold(position, self._twins_of(self._rows[position]), ())

    def hold(self, position: int, twins: Iterable[bytes], accounts: Iterable[str]) -> None:
        """Takes these twins, which are on these accounts, for a row, besides those that it holds."""
        for account in accounts:
            self._ask_for_keys(account)
            self._settle(position, account)
        held = self._held.get(position, ())
        more = tuple(set(twins).difference(held))
        self._taken.update(more)
        self._held[position] = held + more

    def rekey(self) -> None:
        """More rows are twins than was known: those taken hold the new keys too."""
        for row in self._rows.values():
            if row.position in self._held:
                self.hold(row.position, self._twins_of(row), ())

    def rivals(self, position: int) -> set[int]:
        """Other rows that hold a key of this one's: taken before it was known that they are twins."""
        keys = set(self._held.get(position, ()))
        if all(self._taken[key] == 1 for key in keys):
            return set()
        return {
            other for other, held in self._held.items() if other != position and not keys.isdisjoint(held)
        }

    def free(self, position: int) -> None:
        """Ends a `take` or `hold`; whoever waited for these may go."""
        self._rows.pop(position, None)
        for account in self._accounts.pop(position, ()):
            others = self._on_account[account]
            others.discard(position)
            if not others:
                del self._on_account[account]
        for twin in self._held.pop(position, ()):
            self._taken[twin] -= 1
            if self._taken[twin] <= 0:
                del self._taken[twin]
                self._wake(twin)

    def _wake(self, twin: bytes) -> None:
        """The next row that waits for this may try again."""
        waiting = self._waiting.get(twin)
        if not waiting:
            return
        row = waiting.popleft()
        self._waited_for[row.position] = twin
        self._returned.append(row)
        if not waiting:
            del self._waiting[twin]
