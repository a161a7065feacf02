"""Account codes and e-mail addresses become Ids: each distinct value is asked at most once.

Facts: the vendor's documentation (get-an-account, get-users pages); names are not unique, 1,000 accounts
a page are in use, a `LookupName` in the wrong case gives no rows and no error (observed).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from importer.leadsquared.answers import Candidate
from importer.leadsquared.calls import Tenant
from importer.mapping.choices import Lookup, Resolved
from importer.mapping.values import Fault
from importer.text import one_line

ACCOUNT_PAGES_MAX: Final = 1000
FEW_VALUES: Final = 4
"""Up to so many values are asked one by one without asking first how many accounts there are."""
TOGETHER: Final = 8
"""Questions under way at a time; the pace spaces them."""
CONFIRMED_MAX: Final = 100
"""Values that the pages did not show are asked for by name, up to so many."""
CANDIDATES_MAX: Final = 3
NEAR_ENOUGH: Final = 75
NEAR_MAX: Final = 200
"""So many values get candidates; a sheet with more than that is not corrected by spelling."""
SHOWN_LENGTH_MAX: Final = 80

Progress = Callable[[int, int], None]
"""Called with how many of how many distinct values are settled."""
Answer = str | Fault
"""The Id, or why there is none."""


async def resolve(
    tenant: Tenant,
    asked: Iterable[tuple[Lookup, str]],
    *,
    kept: Resolved | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[tuple[Lookup, str], Answer]:
    """Answers for all that is asked, those already kept among them (`to_plain`, `from_plain`).

    What was not found before is asked again: it may have been corrected in LeadSquared since. Raises
    ReadFailed (calls.py) when LeadSquared gives no answer.
    """
    answers: dict[tuple[Lookup, str], Answer] = {}
    open_values: dict[Lookup, dict[str, str]] = {}
    for lookup, value in asked:
        key = lookup.key(value)
        before = (kept or {}).get((lookup, key))
        if isinstance(before, str):
            answers[lookup, key] = before
        else:
            open_values.setdefault(lookup, {}).setdefault(key, value)
    total = len(answers) + sum(len(values) for values in open_values.values())
    progress(len(answers), total)
    users: tuple[Candidate, ...] | None = None
    for lookup, values in open_values.items():
        found_before = any(one == lookup for one, _ in answers)
        known: Sequence[Candidate]
        if lookup.kind == "user":
            known = users = await tenant.users() if users is None else users
        else:
            known = await _accounts(
                tenant, lookup, values, lambda count: progress(len(answers) + count, total)
            )
        answers.update(_judged_all(lookup, values, known, found_before=found_before))
        progress(len(answers), total)
    return answers


def to_plain(resolved: Resolved) -> dict[str, str]:
    """What was found, as question → Id, for the store."""
    return {
        json.dumps([lookup.kind, lookup.by, lookup.company_type, key], ensure_ascii=False): answer
        for (lookup, key), answer in resolved.items()
        if isinstance(answer, str)
    }


def from_plain(plain: Mapping[str, str]) -> dict[tuple[Lookup, str], Answer]:
    """The inverse of `to_plain`. Raises ValueError on anything else."""
    resolved: dict[tuple[Lookup, str], Answer] = {}
    for question, found_id in plain.items():
        kind, by, company_type, key = json.loads(question)
        resolved[Lookup(kind, by, company_type), key] = found_id
    return resolved


# ---- accounts ----------------------------------------------------------------------------------------


async def _accounts(
    tenant: Tenant, lookup: Lookup, values: Mapping[str, str], progress: Callable[[int], None]
) -> list[Candidate]:
    """Accounts that the values may stand for: asked value by value, or all in pages of 1,000, whichever takes
    fewer calls."""
    known: dict[str, Candidate] = {}
    missing = list(values)
    if len(values) > FEW_VALUES:
        record_count, found = await _page(tenant, lookup)
        known = _by_id(found)
        pages = -(-record_count // max(len(found), 1))
        if pages - 1 <= len(values):
            for _ in range(2):  # once more if the order changed meanwhile
                for page in range(2, min(pages, ACCOUNT_PAGES_MAX) + 1):
                    known |= _by_id((await _page(tenant, lookup, page=page))[1])
                if len(known) >= record_count:
                    break
            shown = {lookup.key(_text(lookup, one)) for one in known.values()}
            missing = [key for key in values if key not in shown][:CONFIRMED_MAX]
            progress(len(values) - len(missing))
    for start in range(0, len(missing), TOGETHER):
        asked = (_page(tenant, lookup, value=values[key]) for key in missing[start : start + TOGETHER])
        for one in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(one, BaseException):
                raise one
            known = _by_id(one[1]) | known
        progress(len(values) - len(missing) + min(start + TOGETHER, len(missing)))
    return list(known.values())


async def _page(
    tenant: Tenant, lookup: Lookup, *, page: int = 1, value: str | None = None
) -> tuple[int, list[Candidate]]:
    """How many accounts there are in all, and a page of them; of those that LeadSquared finds for `value`."""
    company_type = lookup.company_type or ""
    record_count, found = await tenant.companies(company_type, lookup.by, value=value, page=page)
    if value is not None:  # where the attribute was not given back, LeadSquared's own comparison counts
        found = [replace(one, attributes={lookup.by: value, **one.attributes}) for one in found]
    return record_count, found


def _by_id(found: Iterable[Candidate]) -> dict[str, Candidate]:
    return {one.id.casefold(): one for one in found}


# ---- answers -----------------------------------------------------------------------------------------


def _text(lookup: Lookup, one: Candidate) -> str:
    """The attribute as stored, "" where it was not given back."""
    return one.attributes.get(lookup.by, "").strip()


def _judged_all(
    lookup: Lookup, values: Mapping[str, str], known: Sequence[Candidate], *, found_before: bool
) -> dict[tuple[Lookup, str], Answer]:
    """What each value stands for: what has exactly it as its attribute; active users go before inactive ones.

    found_before: other values of this lookup were found, so that it is right as such.
    """
    matches: dict[str, dict[str, Candidate]] = {}
    texts: list[str] = []
    for one in known:
        if text := _text(lookup, one):
            matches.setdefault(lookup.key(text), {})[one.id.casefold()] = one
            texts += [text] if one.active else []
    hint = "" if matches or found_before else _HINTS[lookup.kind].format(lookup=lookup)
    missing = [key for key in values if key not in matches][:NEAR_MAX]
    near = {key: _nearest(values[key][:SHOWN_LENGTH_MAX], list(dict.fromkeys(texts))) for key in missing}
    return {
        (lookup, key): _judged(lookup, value, list(matches.get(key, {}).values()), near.get(key, ()), hint)
        for key, value in values.items()
    }


_HINTS: Final = {
    "user": " No user has an attribute {lookup.by}: check its spelling, capitals included.",
    "account": " None of the values was found: check `by: {lookup.by}` (capitals count, and a wrong one gives"
    " no error) and `company_type: {lookup.company_type}` in the mapping.",
}


def _judged(
    lookup: Lookup, value: str, matches: Sequence[Candidate], near: Sequence[str], hint: str
) -> Answer:
    """One match is an answer; none or several are a reason, with what it may have meant."""
    active = [one for one in matches if one.active]
    if len(active) == 1:
        return active[0].id
    if matches and not active:
        return Fault(
            "inactive",
            f"The user {_shown(lookup, matches[0])} is inactive in LeadSquared.",
            "Activate the user there, or write an active one.",
        )
    value = one_line(value, SHOWN_LENGTH_MAX)
    if active:
        shown = "; ".join(_shown(lookup, one) for one in active[:CANDIDATES_MAX])
        more = f" and {len(active) - CANDIDATES_MAX} more" if len(active) > CANDIDATES_MAX else ""
        kind = "users have" if lookup.kind == "user" else "accounts have"
        return Fault(
            "found-twice",
            f"{len(active)} {kind} the {lookup.by} '{value}': {shown}{more}.",
            "Make it unique in LeadSquared, or look up by another attribute.",
        )
    what = "user" if lookup.kind == "user" else f"account of type {lookup.company_type}"
    meant = f" Near: {', '.join(near)}." if near else ""
    return Fault(
        "not-found",
        f"No {what} has the {lookup.by} '{value}'.{meant}{hint}",
        "Correct the cell, or add it in LeadSquared.",
    )


def _shown(lookup: Lookup, one: Candidate) -> str:
    return one_line(f"{one.name or _text(lookup, one)} ({one.id})", 2 * SHOWN_LENGTH_MAX)


def _nearest(value: str, texts: Sequence[str]) -> list[str]:
    """The texts most like `value`, the same in another case first."""
    from rapidfuzz import fuzz, process, utils

    found = process.extract(
        value, texts, scorer=fuzz.ratio, processor=utils.default_process, limit=CANDIDATES_MAX,
        score_cutoff=NEAR_ENOUGH,
    )  # fmt: skip
    return [one_line(text, SHOWN_LENGTH_MAX) for text, _, _ in found]
