"""Another process on a store, for tests: takes one command a line, answers each with one line. See `Child`.

python store_child.py HOME [URL]
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, event
from stores import AT, Place, batch, guid, staged

from importer.errors import ImporterError, UserError
from importer.store.duplicates import DuplicateCheck
from importer.store.ownership import Ownership
from importer.store.records import AttemptResult, RowStatus
from importer.store.store import Store, open_store
from importer.store.writer import StoreWriter


class Child:
    """A process with the store of `place` open; `ask` gives what it answers."""

    def __init__(self, place: Place) -> None:
        command = [sys.executable, __file__, str(place.home), *([place.url] if place.url else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.answer() == {"is": "ready"}

    def say(self, do: str, **arguments: Any) -> None:
        """Begin, without waiting."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer; {} when the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {}
        return found

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Say it and wait for the answer."""
        self.say(do, **arguments)
        return self.answer()

    def signal(self, number: signal.Signals) -> None:
        """SIGKILL waits for the end."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Commands:
    """What a child can be asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.owned: Ownership | None = None

    def start(self, number: int, sheet: int, rows: int = 3, at: float = 0.0) -> dict[str, Any]:
        """Stage and publish batch `number` of the sheet `sheet`, as `run` does. at: when (wall clock)."""
        one = batch(number, rows=rows, content=f"{sheet:064x}", source_cells=f"{sheet + 10**9:064x}")
        with self.store.stage(one.id) as staging:
            staging.add((staged(10_000 * sheet + each) for each in range(rows)), AT)
            time.sleep(max(0.0, at - time.time()))
            self.owned = self.store.publish(staging, one, _refuse_known)
        return {"owner": self.owned.number}

    def own(self, batch_id: str) -> dict[str, Any]:
        """Take a batch."""
        self.owned = self.store.own(batch_id)
        return {"owner": self.owned.number, "marked_s": self.owned.taken_over_s}

    def close(self) -> dict[str, Any]:
        """Give it back."""
        self._mine().close()
        return {}

    def mark(self, position: int) -> dict[str, Any]:
        """Mark a row as being sent."""
        return asyncio.run(self._write(position, None))

    def create(self, position: int) -> dict[str, Any]:
        """Mark a row and record it as created."""
        return asyncio.run(self._write(position, guid(10_000 * self._mine().rows.key + position)))

    async def _write(self, position: int, activity_id: str | None) -> dict[str, Any]:
        writer = StoreWriter(self._mine())
        try:
            attempt, _ = await writer.mark(position, None, 0.0)
            if activity_id is not None:
                await writer.write(
                    AttemptResult(
                        attempt, position, time.time(), 200, "created", "", "", RowStatus.CREATED, activity_id
                    )
                )
        finally:
            await writer.close()
        return {"attempt": attempt}

    def kill_at(self, step: int) -> dict[str, Any]:
        """SIGKILL before the so-many-th statement from now on, commits among them."""
        left = [step]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", count)
        event.listen(Engine, "commit", count)
        return {}

    def _mine(self) -> Ownership:
        if self.owned is None:
            raise UserError("no batch is owned")
        return self.owned


def _refuse_known(check: DuplicateCheck) -> None:
    overlap = check.overlap()
    if check.same_sheet() or overlap.created or overlap.held:
        raise UserError("imported before")


def _main() -> None:
    home, *url = sys.argv[1:]
    with open_store(Path(home), url[0] if url else None) as store:
        commands = Commands(store)
        print(json.dumps({"is": "ready"}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            command: Callable[..., dict[str, Any]] = getattr(commands, asked.pop("do"))
            try:
                answer = command(**asked)
            except ImporterError as error:
                answer = {"error": str(error), "type": type(error).__name__}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main()
