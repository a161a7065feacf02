"""A server in a thread of its own, as if it were far away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class InThread(Generic[S]):
    """Serves from `start` to `stop` what `make` makes in the thread; `served` is it, once it is started."""

    served: S

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[S]]) -> None:
        self._make = make
        self._ready: Future[S] = Future()
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="served", daemon=True)

    def start(self) -> None:
        """Returns once it serves. Raises what it raised."""
        self._thread.start()
        self.served = self._ready.result(timeout=180)

    def stop(self) -> None:
        """End it; may be called again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join(timeout=60)

    def ask(self, question: Callable[[S], T]) -> T:
        """`question(served)`, answered in the server's own thread."""
        answer: Future[T] = Future()

        def put() -> None:
            try:
                answer.set_result(question(self.served))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(put)
        return answer.result(timeout=180)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_until_complete(asyncio.sleep(0.05))  # connections that were closed are lost only now
        self._loop.close()

    async def _serve(self) -> None:
        try:
            async with self._make() as served:
                self._ready.set_result(served)
                await self._done.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
