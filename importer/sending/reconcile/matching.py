"""Was this row created? What was sent against what the account has. Pure: no I/O, no clock.

LeadSquared has no idempotency key, so a doubtful attempt can be settled only by looking for an activity that
is what the attempt sent. A wrong "created" loses a row and a wrong "not created" sends one twice: neither
can be undone, while `Uncertain` costs a person one lookup. Whatever is not certain is therefore `Uncertain`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from importer.activity import NOTE, Activity, StoredActivity
from importer.sending.reconcile.normalise import Comparison, fold, id_key, similarity
from importer.text import listed

WINDOW_MARGIN: Final = dt.timedelta(seconds=2)
"""How far before the first mark an activity may seem created: the tenant's times are whole seconds."""

_NAMED_IN_MESSAGE: Final = 5


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field of an activity, as sent and as stored ("" where a side has none). `field`: schema name."""

    field: str
    verdict: Comparison
    sent: str
    stored: str


def compare(sent: Activity, stored: StoredActivity) -> Iterator[FieldComparison]:
    """Every field that either side has a value for, the note first, then in the order sent; one by one, since
    the first often tells enough.

    Account and event are not compared: `candidates` and Retrieve's own argument see to them. Values that are
    empty or all spaces are no values, since the tenant returns empty fields as absent.
    """
    values = {name.casefold(): value for name, value in stored.fields.items() if value.strip()}
    pairs = [(NOTE, sent.note or "", stored.note)]
    pairs += [(name, value, values.pop(name.casefold(), "")) for name, value in sent.fields]
    not_sent = [(name, "", value) for name, value in stored.fields.items() if name.casefold() in values]
    for name, one, two in pairs + not_sent:
        if one.strip() or two.strip():
            yield FieldComparison(name, _verdict(one, two), one, two)


def _verdict(sent: str, stored: str) -> Comparison:
    if not sent.strip():
        return Comparison.UNEXPECTED
    if not stored.strip():
        return Comparison.MISSING
    return similarity(sent, stored)


@dataclass(frozen=True, slots=True)
class Learned:
    """What read-backs of created rows of one event have shown. Schema names, `NOTE` among them.

    kept: sent non-empty and came back equal; only here does a difference prove anything.
    respelt, cut_short: came back near to what was sent. lost: came back empty or as something else.
    filled: came back though not sent (the tenant's own defaults). created_by: our user's Id there.
    """

    kept: frozenset[str] = frozenset()
    respelt: frozenset[str] = frozenset()
    cut_short: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    created_by: str = ""

    @classmethod
    def from_read_back(cls, sent: Activity, stored: StoredActivity) -> Self:
        """What one created row that was read back shows."""
        names: dict[Comparison, set[str]] = {verdict: set() for verdict in Comparison}
        for comparison in compare(sent, stored):
            names[comparison.verdict].add(comparison.field)
        return cls(
            kept=frozenset(names[Comparison.EQUAL]),
            respelt=frozenset(names[Comparison.RESPELT]),
            cut_short=frozenset(names[Comparison.CUT_SHORT]),
            lost=frozenset(names[Comparison.MISSING] | names[Comparison.ALTERED]),
            filled=frozenset(names[Comparison.UNEXPECTED]),
            created_by=stored.created_by,
        )

    def __or__(self, other: Learned) -> Learned:
        """What both together show: one alteration outweighs any number of equal returns."""
        lost = self.lost | other.lost
        cut_short = (self.cut_short | other.cut_short) - lost
        respelt = (self.respelt | other.respelt) - lost - cut_short
        return Learned(
            kept=(self.kept | other.kept) - lost - cut_short - respelt,
            respelt=respelt,
            cut_short=cut_short,
            lost=lost,
            filled=self.filled | other.filled,
            created_by=self.created_by or other.created_by,
        )

    @property
    def altered(self) -> frozenset[str]:
        """Fields that return otherwise than sent: to be named to the person."""
        return self.respelt | self.cut_short | self.lost

    @property
    def left_out(self) -> frozenset[str]:
        """Fields that cannot tell two rows apart: what is stored is not all that was sent."""
        return self.cut_short | self.lost


class UncertainReason(StrEnum):
    """Why a lookup could not decide."""

    SEVERAL = "several"  # more than one activity is what was sent
    OTHER_USER = "other-user"  # one is, but another user created it
    NEAR_MISS = "near-miss"  # one might be
    UNPROVEN = "unproven"  # one differs, but no created row has shown that the difference means anything


@dataclass(frozen=True, slots=True)
class Created:
    """One activity is what was sent. `id` as the tenant spells it."""

    id: str


@dataclass(frozen=True, slots=True)
class NotCreated:
    """Nothing there can be ours. (One lookup; the caller makes two.)"""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The lookup could not decide. `candidates`: Ids of the activities that may be ours, sorted.

    detail: for the person, what makes them doubtful; a full sentence.
    """

    reason: UncertainReason
    candidates: tuple[str, ...]
    detail: str = field(compare=False, default="")


MatchResult = Created | NotCreated | Uncertain


def candidates(
    stored: Iterable[StoredActivity],
    *,
    company_id: str,
    event: int,
    marked_at: dt.datetime,
) -> list[StoredActivity]:
    """The activities that an attempt first marked at `marked_at` may have created, each once.

    marked_at: UTC **by the tenant's clock** (our mark plus the clock difference in force then).
    An activity whose event or time could not be read stays a candidate: it cannot be ruled out.
    """
    earliest = marked_at - WINDOW_MARGIN
    company = id_key(company_id)
    found: dict[str, StoredActivity] = {}
    for activity in stored:
        if (
            activity.event in (event, None)
            and (not activity.company_id or id_key(activity.company_id) == company)
            and (activity.created_on is None or activity.created_on >= earliest)
        ):
            found.setdefault(id_key(activity.id), activity)
    return list(found.values())


def judge(
    attempts: Collection[Activity],
    stored: Iterable[StoredActivity],
    learned: Learned | None,
    marker: str | None = None,
) -> MatchResult:
    """Whether one of `stored` (of `candidates`) is what one of the row's doubtful `attempts` sent.

    attempts: what they sent, at least one, markers included; marker: the schema name of the mapping's
    `marker`. learned: None as long as no created row of the event was read back.
    """
    if not attempts:
        raise ValueError("a row without an attempt cannot be in doubt")
    different = list(dict.fromkeys(attempts))
    pool = sorted(stored, key=lambda activity: id_key(activity.id))
    if marker is not None:
        marked = [activity for activity in pool if _carries_mark(activity, different, marker)]
        if marked:
            return _one_of(marked)
        if learned is not None and marker in learned.kept and all(_bears(sent, marker) for sent in different):
            return NotCreated()
    equal = [one for one in pool if any(_equal(compare(sent, one), learned) for sent in different)]
    if equal:
        return _one_of(equal, learned.created_by if learned else "")
    possible = [
        one for one in pool if not all(_proves_other(compare(sent, one), learned) for sent in different)
    ]
    return _undecided(different[0], possible, learned) if possible else NotCreated()


def match_key(activity: Activity, left_out: frozenset[str] = frozenset()) -> bytes:
    """16 bytes that are equal for activities which a match could not tell apart: their *conflict key*.

    left_out: `Learned.left_out` once it is known: rows that differ only there conflict too. With a marker
    that is known to be kept, no rows conflict. Beyond the key lies what no key can join: a value and its
    cut-off start, and the other limits that `normalise.fold` names;
    such a pair can end `Uncertain`, but never with each other's Id, since equality asks for more.
    """
    parts = [id_key(activity.company_id), str(activity.event)]
    values = [(NOTE, activity.note or ""), *activity.fields]
    compared = ((name, value) for name, value in values if name not in left_out and value.strip())
    parts += sorted(f"{name.casefold()}\x1f{fold(value)}" for name, value in compared)
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _bears(sent: Activity, marker: str) -> bool:
    return any(name == marker and value for name, value in sent.fields)


def _carries_mark(activity: StoredActivity, attempts: Sequence[Activity], marker: str) -> bool:
    name = marker.casefold()
    marks = [value.strip() for schema, value in activity.fields.items() if schema.casefold() == name]
    return any((marker, mark) in sent.fields for sent in attempts for mark in marks if mark)


def _one_of(found: Sequence[StoredActivity], our_user: str = "") -> MatchResult:
    ids = tuple(activity.id for activity in found)
    if len(found) > 1:
        return Uncertain(
            UncertainReason.SEVERAL,
            ids,
            f"{len(ids)} activities are what this row sent: {listed(ids, _NAMED_IN_MESSAGE)}.",
        )
    if our_user and id_key(found[0].created_by) != id_key(our_user):
        by = f"user {found[0].created_by}" if found[0].created_by else "nobody named"
        detail = f"Activity {ids[0]} is what this row sent, but was created by {by}, not by these keys' user."
        return Uncertain(UncertainReason.OTHER_USER, ids, detail)
    return Created(ids[0])


def _equal(fields: Iterable[FieldComparison], learned: Learned | None) -> bool:
    """Note and every field equal; those that read-backs showed altered only as far as they were."""
    known = learned or Learned()
    return all(_as_learned(comparison, known) for comparison in fields)


def _as_learned(comparison: FieldComparison, known: Learned) -> bool:
    name = comparison.field
    match comparison.verdict:
        case Comparison.EQUAL:
            return True
        case Comparison.UNEXPECTED:
            return name in known.filled
        case Comparison.RESPELT:
            return name in known.altered
        case Comparison.CUT_SHORT:
            return name in known.left_out
        case Comparison.MISSING | Comparison.ALTERED:
            return name in known.lost


def _proves_other(fields: Iterable[FieldComparison], learned: Learned | None) -> bool:
    """Whether the activity cannot be what was sent: a field that is known to be kept holds another value.

    One kept field that is empty proves nothing: a tenant may drop a single value it does not like (a word
    that its dropdown lacks). Two are another activity. A value in a field that was not sent proves nothing
    either, since what was not sent never showed how it comes back.
    """
    if learned is None:
        return False
    missing = 0
    for comparison in fields:
        if comparison.field in learned.kept:
            missing += comparison.verdict is Comparison.MISSING
            if comparison.verdict is Comparison.ALTERED or missing > 1:
                return True
    return False


def _undecided(sent: Activity, possible: Sequence[StoredActivity], learned: Learned | None) -> Uncertain:
    """sent: what the first of the attempts sent, for the message."""
    ids = tuple(activity.id for activity in possible)
    differing = [one for one in compare(sent, possible[0]) if one.verdict is not Comparison.EQUAL]
    how = ", ".join(
        f"{one.field} is {one.stored!r} instead of {one.sent!r}" for one in differing[:_NAMED_IN_MESSAGE]
    )
    if len(ids) > 1:
        detail = f"{len(ids)} activities may be this row: {listed(ids, _NAMED_IN_MESSAGE)}."
    else:
        detail = f"Activity {ids[0]} may be this row: {how}."
    return Uncertain(UncertainReason.UNPROVEN if learned is None else UncertainReason.NEAR_MISS, ids, detail)
