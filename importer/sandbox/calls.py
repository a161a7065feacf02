"""What arrived at the tenant, so that the truth can be known afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Call:
    """One call. arrived_s, ended_s: monotonic; at: seconds since 1970 by the machine's clock.

    kind: `create`, `retrieve`, …, or `unknown`. status: of the answer, 0 while there is none or when it
    never came. activity_id: what this call created, whether its caller learned of it or not. fault: what was
    done to it, "" if nothing. refused: for the rate (by the limit itself or by a fault that says so).
    """

    number: int
    kind: str
    arrived_s: float
    at: float
    status: int = 0
    fault: str = ""
    activity_id: str | None = None
    refused: bool = False
    ended_s: float | None = None

    def shown(self) -> dict[str, Any]:
        """As the control endpoint lists it."""
        return asdict(self)
