"""What really happened: the tenant's activities and who made them, beside what its callers see.

Times are seconds of one absolute clock that goes on from life to life. A Create is committed at an instant of
its own, whether its caller is still there or not, and shows up in readings a lag later.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from importer.activity import Activity, StoredActivity
from importer.leadsquared.calls import Reading
from importer.leadsquared.outcomes import Outcome, OutcomeKind
from importer.pacing.pacing import Rate, Refusal, Slot

EPOCH: Final = 1_785_000_000.0
TIMEOUT_S: Final = 10.0
SETTLE_S: Final = 4.0
US: Final = "11111111-0000-4000-8000-000000000001"
OTHERS: Final = "22222222-0000-4000-8000-000000000002"

CREATE_FATES: Final = (
    "fine", "late", "500", "500 created", "503", "504 created", "timeout", "timeout created",
    "timeout created late", "reset", "reset created", "throttled", "not sent", "unknown refusal",
)  # fmt: skip
READ_FATES: Final = ("fine", "failed", "incomplete")
ALTERATIONS: Final = ("none", "drop", "cut", "upper")


REFUSALS: Final = {
    "throttled": Outcome(OutcomeKind.THROTTLED, "rate-limit", "", 429, refusal=Refusal(Rate(25, 5.0), None)),
    "unknown refusal": Outcome(OutcomeKind.UNKNOWN_REFUSAL, "MXBusyException", "Busy.", 500, complete=True),
}


@dataclass
class Held:
    """One activity. committed_at: absolute seconds; by: who made it."""

    id: str
    sent: Activity
    committed_at: float
    visible_at: float
    by: str


@dataclass
class World:
    """The tenant and everybody who writes to it.

    calm: nothing goes wrong from here on. foreign: how often another integration writes the same or nearly
    the same at the time of a call of ours.
    """

    chance: Random
    fates: Sequence[str]
    reads: Sequence[str]
    alteration: str
    lag_s: float
    offset_s: float
    foreign: float = 0.0
    foreign_equal: bool = False
    bad: str = "refuse me"
    calm: bool = False
    now: float = 0.0
    held: list[Held] = field(default_factory=list)
    flying: Counter[Activity] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    wanted: Counter[Activity] = field(default_factory=Counter)
    creates: int = 0
    read_calls: int = 0

    def stored(self, sent: Activity) -> Activity:
        """As the tenant keeps it."""
        name = "mx_Custom_2"
        fields = dict(sent.fields)
        if self.alteration == "drop":
            fields.pop(name, None)
        elif self.alteration == "cut" and name in fields:
            fields[name] = fields[name][:3]
        elif self.alteration == "upper" and name in fields:
            fields[name] = fields[name].upper()
        return Activity(sent.company_id, sent.event, sent.note, tuple(fields.items()))

    def ours(self, *, until: float = float("inf")) -> Counter[Activity]:
        """What our calls created, as sent."""
        return Counter(one.sent for one in self.held if one.by == "us" and one.committed_at <= until)

    def write(self, sent: Activity, at: float, by: str) -> Held:
        lag_s = self.chance.uniform(0, self.lag_s)
        made = Held(f"{len(self.held) + 1:08x}-0000-4000-8000-000000000000", sent, at, at + lag_s, by)
        self.held.append(made)
        return made

    def interfere(self, sent: Activity) -> None:
        """Somebody else writes the same, or nearly the same."""
        if self.calm or self.chance.random() >= self.foreign:
            return
        if self.foreign_equal and self.chance.random() < 0.5:
            self.write(sent, self.now, self.chance.choice(["self", "others"]))
            return
        fields = tuple(
            (name, "something else" if name == "mx_Custom_1" else value) for name, value in sent.fields
        )
        self.write(Activity(sent.company_id, sent.event, sent.note, fields), self.now, "others")


class ModelTenant:
    """`calls.Tenant` for one life. dead: the process was killed; nothing that it does reaches the world."""

    def __init__(self, world: World, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.world = world
        self.dead = False
        self._clock = clock
        self._wall = wall
        self.clock_difference_s = 0.0
        self.heard()

    def heard(self) -> None:
        """A `Date` has whole seconds: half a second off at most."""
        self._now()
        theirs = int(EPOCH + self.world.now + self.world.offset_s) + 0.5
        self.clock_difference_s = theirs - self._wall()

    def _now(self) -> float:
        self.world.now = max(self.world.now, self._clock())
        return self.world.now

    async def create(self, body: bytes, slot: Slot, may_leave: Callable[[], bool]) -> Outcome:
        world, sent = self.world, Activity.decoded(body)
        self._now()
        if self.dead:
            slot.unused()
            return Outcome(OutcomeKind.NOT_SENT, "dns", "", None)
        if not may_leave():
            return Outcome(OutcomeKind.NOT_SENT, "not-sent", "", None)
        world.creates += 1
        slot.left()
        fate = "fine" if world.calm else world.fates[world.creates % len(world.fates)]
        if fate == "not sent":
            slot.unused()
            return Outcome(OutcomeKind.NOT_SENT, "dns", "No such host.", None)
        world.flying[sent] += 1
        if world.flying[sent] > 1:
            world.broken.append(f"two that look the same together: {sent}")
        # Rows that the tenant keeps as one and the same may stand for each other: nobody can tell them apart.
        kept = world.stored(sent)
        made = sum(count for one, count in world.ours().items() if world.stored(one) == kept)
        if made >= sum(count for one, count in world.wanted.items() if world.stored(one) == kept):
            world.broken.append(f"sent once too often: {sent}")
        try:
            outcome = await self._meet(fate, sent)
        except asyncio.CancelledError:
            outcome = Outcome(OutcomeKind.DOUBTFUL, "cancelled", "Cut off.", None)
        finally:
            world.flying[sent] -= 1
        slot.returned(outcome.refusal)
        self.heard()
        return outcome

    async def _meet(self, fate: str, sent: Activity) -> Outcome:
        world = self.world
        world.interfere(sent)
        if dict(sent.fields).get("mx_Custom_1") == world.bad:
            await asyncio.sleep(0.2)
            return Outcome(
                OutcomeKind.REFUSED, "MXInvalidInputException", "No such outcome.", 500, complete=True
            )
        if fate in REFUSALS:
            await asyncio.sleep(0.1)
            return REFUSALS[fate]
        takes_s = {"late": 6.0}.get(fate, 0.2)
        made: Held | None = None
        if fate in {"fine", "late"} or fate.endswith("created"):
            made = world.write(sent, world.now + takes_s / 2, "us")
        if fate == "timeout created late":
            # As late as it can come and still be seen a timeout after its caller gave up.
            latest_s = 2 * TIMEOUT_S - world.lag_s - 0.5
            made = world.write(sent, world.now + world.chance.uniform(0.6, 1.0) * latest_s, "us")
        if fate.startswith("timeout"):
            await asyncio.sleep(TIMEOUT_S)
            return Outcome(OutcomeKind.DOUBTFUL, "timeout", "No answer.", None)
        await asyncio.sleep(takes_s)
        if fate in {"fine", "late"} and made is not None:
            return Outcome(OutcomeKind.CREATED, "", "", 200, activity_id=made.id, complete=True)
        if fate.startswith("reset"):
            return Outcome(OutcomeKind.DOUBTFUL, "connection-lost", "Lost.", None)
        status = int(fate[:3])
        return Outcome(OutcomeKind.DOUBTFUL, f"http-{status}", "Failed.", status, complete=status == 500)

    async def activities(self, company_id: str, since: dt.datetime, until: dt.datetime) -> Reading:
        world = self.world
        self._now()
        world.read_calls += 1
        fate = "fine" if world.calm else world.reads[world.read_calls % len(world.reads)]
        seen_at = world.now
        await asyncio.sleep(0.2)
        if self.dead or fate == "failed":
            return Reading(
                (), complete=False, outcome=Outcome(OutcomeKind.DOUBTFUL, "http-503", "Failed.", 503)
            )
        found = [self._stored(one) for one in world.held if one.visible_at <= seen_at]
        shown = [
            one
            for one in found
            if one.company_id == company_id
            and one.created_on is not None
            and since <= one.created_on <= until
        ]
        self.heard()
        if fate == "incomplete" and shown:
            return Reading(tuple(shown[1:]), complete=False)
        return Reading(tuple(shown), complete=True)

    def _stored(self, held: Held) -> StoredActivity:
        kept = self.world.stored(held.sent)
        created = int(EPOCH + held.committed_at + self.world.offset_s)
        return StoredActivity(
            held.id, kept.company_id, kept.event, kept.note or "", dict(kept.fields),
            dt.datetime.fromtimestamp(created, dt.UTC), OTHERS if held.by == "others" else US,
        )  # fmt: skip
