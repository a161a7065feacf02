"""An event loop whose clock jumps to the next timer when nothing else is left to do.

Hours of waiting pass in milliseconds, and real code (`asyncio.sleep`, `asyncio.timeout`, aiolimiter,
`call_later`) runs unchanged, since all of it asks the loop for the time. Work that happens outside (threads,
sockets) takes real time: while some is outstanding the clock stands still and the loop waits for it. Work
given to `loop.run_in_executor` (so also `asyncio.to_thread`) is counted by itself; for anything else use
`with loop.hold(): …`, or give `outstanding`, a function that says whether there is any.

Not for real sockets left alone: a server on the same loop, waiting for bytes in flight, needs `hold`.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")
TICK_S: Final = 1e-6
"""How far the clock lands beyond a timer, as a real one does: a limiter computes with what is left over."""
PASS_S: Final = 1e-9
"""What each pass of the loop takes: code that asks for "now" again and again gets somewhere, as in life."""
REAL_WAIT_S: Final = 0.005
"""How long the loop waits for outside work before it looks again whether some is outstanding."""
STUCK_S: Final = 30.0
"""Outside work that takes longer than this, in real time, is a deadlock of the test."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of sleeping until the next timer, puts the clock there."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self.loop.advance(PASS_S)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        deadline = time.monotonic() + STUCK_S
        while self.loop.is_held():
            ready = super().select(REAL_WAIT_S)
            if ready:
                return ready
            if time.monotonic() > deadline:
                raise RuntimeError(f"outside work still outstanding after {STUCK_S:g} s of real time")
        if timeout is None:
            raise RuntimeError("nothing left to wait for: every task waits for another one")
        self.loop.advance(timeout + TICK_S)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. `time()` starts at `start_s`; `advance` moves the clock by hand (a laptop that
    slept)."""

    def __init__(self, *, start_s: float = 1000.0, outstanding: Callable[[], bool] | None = None) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_s = start_s
        self._holds = 0
        self.outstanding = outstanding
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_s

    def advance(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self._virtual_s += seconds

    def is_held(self) -> bool:
        """Whether outside work is under way, so that the clock must not jump."""
        return self._holds > 0 or (self.outstanding is not None and self.outstanding())

    @contextmanager
    def hold(self) -> Iterator[None]:
        """The clock stands still: work is being done that takes real time."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As the base class, and the clock stands still until the work is done."""
        self._holds += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._release)
        return future

    def _release(self, _: object) -> None:
        self._holds -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As the base class, which joins its threads from another thread."""
        del timeout  # Python 3.11 knows none; a stuck thread is reported by the selector
        with self.hold():
            await super().shutdown_default_executor()


def run_virtually(main: Coroutine[Any, Any, T], *, loop: VirtualTimeLoop | None = None) -> T:
    """`asyncio.run` on a virtual clock."""
    with asyncio.Runner(loop_factory=lambda: loop or VirtualTimeLoop()) as runner:
        return runner.run(main)
