"""A sandbox in a process of its own, until its standard input ends. Started by `measuring.tenant`.

python tests/benchmarks/serve_tenant.py '{"rate": "25/5", "penalty_s": 5, "latency_s": 0.3, "jitter_s": 0.1}'
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from importer.sandbox import Sandbox, SandboxOptions, read_faults


async def main(options: dict[str, Any]) -> None:
    """Prints url, keys and token as one JSON line, and serves."""
    faults = options.pop("faults", None)
    asked = SandboxOptions(**options, faults=read_faults(faults, "faults"))
    async with Sandbox(asked) as sandbox:
        facts = {
            "url": sandbox.url,
            "access_key": sandbox.access_key,
            "secret_key": sandbox.secret_key,
            "token": sandbox.admin_token,
        }
        print(json.dumps(facts), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
