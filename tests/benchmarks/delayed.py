"""A wire that takes time: everything to a PostgreSQL server and back arrives so many seconds later.

    python tests/benchmarks/delayed.py URL SECONDS

Prints the URL to use instead, and serves until its standard input ends. Started by `measuring.postgresql`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from psycopg import conninfo


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Each piece arrives `delay_s` after it was sent; pieces overtake nobody and wait for nobody."""
    loop = asyncio.get_running_loop()
    while piece := await reader.read(65_536):
        loop.call_later(delay_s, writer.write, piece)
    loop.call_later(delay_s + 0.01, writer.close)


async def main(url: str, delay_s: float) -> None:
    """Serves."""
    known = conninfo.conninfo_to_dict(url)
    host, port = str(known.get("host") or "127.0.0.1"), int(known.get("port") or 5432)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there = await asyncio.open_connection(host, port)
        with suppress(asyncio.CancelledError):  # at the end
            await asyncio.gather(carry(reader, there[1], delay_s), carry(there[0], writer, delay_s))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    print(f"postgresql://{known.get('user', 'postgres')}@127.0.0.1:{own}/{known['dbname']}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
