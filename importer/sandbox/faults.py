"""Which fault hits a call: the first rule that matches decides; foreign writes come on top of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from importer.sandbox.rules import READS, Fault, ForeignFault


@dataclass(frozen=True, slots=True)
class Hit:
    """What is done to one call."""

    fault: Fault | None = None
    foreign: tuple[ForeignFault, ...] = ()


NOTHING = Hit()


@dataclass(slots=True)
class _Rule:
    fault: Fault
    random: Random
    met: int = 0
    used: int = 0
    kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        kinds = set(self.fault.on)
        if "reads" in kinds:
            kinds |= set(READS)
        self.kinds = frozenset(kinds)

    def hits(self, kind: str, body: Mapping[str, Any], attempt: int, since_start_s: float) -> bool:
        """Whether this call is hit; counts it. Calls that the conditions leave out are not counted."""
        fault = self.fault
        if not self._concerns(kind, attempt, since_start_s) or not _says(fault, body):
            return False
        self.met += 1
        hit = (
            (fault.nth is None or self.met in fault.nth)
            and (fault.every is None or self.met % fault.every == 0)
            and (fault.chance >= 1 or self.random.random() < fault.chance)
        )
        self.used += hit
        return hit

    def _concerns(self, kind: str, attempt: int, since_start_s: float) -> bool:
        fault = self.fault
        return (
            (kind in self.kinds or "any" in self.kinds)
            and since_start_s >= fault.from_s
            and (fault.until_s is None or since_start_s < fault.until_s)
            and (fault.times is None or self.used < fault.times)
            and (fault.attempt is None or attempt in fault.attempt)
        )


def _says(fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether the call's body says what the rule asks for."""
    if fault.account is not None and str(body.get("RelatedCompanyId", "")).lower() != fault.account.lower():
        return False
    if fault.event is not None and body.get("ActivityEvent") != fault.event:
        return False
    if fault.note_has is not None and fault.note_has not in str(body.get("ActivityNote", "")):
        return False
    if not fault.field:
        return True
    given = body.get("Fields")
    pairs = given if isinstance(given, list) else []
    values = {pair.get("SchemaName"): pair.get("Value") for pair in pairs if isinstance(pair, dict)}
    return all(values.get(name) == value for name, value in fault.field.items())


class Faults:
    """The rules of a faults file, with the memory that `nth`, `attempt`, `times` and `chance` need."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._rules = [_Rule(fault, Random(f"{seed}:{place}")) for place, fault in enumerate(faults)]
        self._counts_attempts = any(fault.attempt is not None for fault in faults)
        self._attempts: Counter[bytes] = Counter()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def hit(self, kind: str, raw: bytes, body: Mapping[str, Any], since_start_s: float) -> Hit:
        """What is to be done to this call. Asked exactly once for each call."""
        attempt = 0
        if self._counts_attempts:
            key = hashlib.blake2b(raw, digest_size=16).digest()
            self._attempts[key] += 1
            attempt = self._attempts[key]
        foreign: list[ForeignFault] = []
        for rule in self._rules:
            if not rule.hits(kind, body, attempt, since_start_s):
                continue
            if not isinstance(rule.fault, ForeignFault):
                return Hit(rule.fault, tuple(foreign))
            foreign.append(rule.fault)
        return Hit(None, tuple(foreign))
