"""A server that answers as it is told, byte by byte, on a free port of this computer."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Behaviour = Callable[["Heard", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Heard:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HostileServer:
    """`behave` is called for each request; what it does not write is not sent."""

    behave: Behaviour
    port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called for each connection; the task is ours, so that it can be ended with the server."""
        task = asyncio.create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await _heard(reader):
                self.heard.append(request)
                await self.behave(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _heard(reader: asyncio.StreamReader) -> Heard | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Heard(method, target, headers, body)


@asynccontextmanager
async def hostile_server(
    behave: Behaviour, *, secure: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """Serve until the block ends."""
    ours = HostileServer(behave)
    server = await asyncio.start_server(ours.accept, "127.0.0.1", 0, ssl=secure)
    ours.port = server.sockets[0].getsockname()[1]
    try:
        yield ours
    finally:
        server.close()
        for task in list(ours.tasks):
            task.cancel()
        await asyncio.gather(*ours.tasks, return_exceptions=True)


def raw(*parts: bytes, close: bool = False, reset: bool = False) -> Behaviour:
    """Writes these bytes and nothing else; then closes, or resets, the connection if told to."""

    async def behave(_: Heard, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        if reset:
            writer.transport.abort()
        elif close:
            await writer.drain()
            writer.close()

    return behave


def reply(
    status: int, body: bytes | object = b"", *, headers: tuple[str, ...] = (), gzipped: bool = False
) -> Behaviour:
    """A whole answer; the connection is kept."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} As told", *headers]
    if gzipped:
        content = gzip.compress(content)
        lines.append("Content-Encoding: gzip")
    lines.append(f"Content-Length: {len(content)}")
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, the last one for ever."""
    waiting = list(behaviours)

    async def behave(request: Heard, writer: asyncio.StreamWriter) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, writer)

    return behave


async def hang(_: Heard, __: asyncio.StreamWriter) -> None:
    """Never answers; ends when the other side gives up."""
    await asyncio.sleep(30)
