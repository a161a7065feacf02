"""How a sandbox is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from importer.sandbox.rules import FaultsFile

ORGANISATION: Final = "sandbox"
CALLS_KEPT: Final = 500_000


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Defaults make a rehearsal behave like the real thing: the largest plan, its penalty, some latency.

    port: 0 takes a free one. rate: `25/5`, or `none`. penalty_s: how long every call is refused after it.
    latency_s: what the tenant takes to answer; a Create is committed half-way.
    jitter_s: a further delay before a call arrives: uniform from 0 up to it, log-normal (σ 1) around it, or
    Pareto (1.5) from it. lag_s: until reads see what was created.
    faults: a faults file, or one already read. seed: makes every chance reproducible.
    store: file that keeps what was created; None keeps it in memory only.
    users: e-mail addresses, or full names, that `Users.Get` is to know besides the fixture people.
    accounts: attribute (say `mx_Account_Code`) → values that `Company.Get` is to list besides the fixtures.
    any_account: it says that it has a million accounts, so that callers ask for each of theirs by name.
    organisation: the tenant's short code. access_key, secret_key, admin_token: made up when None.
    """

    port: int = 0
    rate: str = "25/5"
    penalty_s: float = 5.0
    latency_s: float = 0.1
    jitter_s: float = 0.05
    jitter_shape: Literal["uniform", "log-normal", "pareto"] = "uniform"
    lag_s: float = 0.0
    faults: Path | FaultsFile | None = None
    seed: int | None = None
    store: Path | None = None
    users: Sequence[str] = ()
    accounts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    any_account: bool = False
    organisation: str = ORGANISATION
    access_key: str | None = None
    secret_key: str | None = None
    admin_token: str | None = None
    calls_kept: int = CALLS_KEPT

    def __post_init__(self) -> None:
        for name in ("penalty_s", "latency_s", "jitter_s", "lag_s"):
            if not 0 <= getattr(self, name) <= 3600:
                raise ValueError(f"{name} must lie between 0 and 3600 seconds, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"{self.port} is not a port")
