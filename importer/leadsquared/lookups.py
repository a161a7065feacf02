"""Account codes and e-mail addresses become Ids: each distinct value is asked at most once.

Facts: the vendor's documentation (get-an-account, get-users pages); names are not unique, 1,000 accounts
a page are in use, a `LookupName` in the wrong case gives no rows and no error (observed).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from importer.leadsquared.answers import User
from importer.leadsquared.calls import Tenant
from importer.mapping.references import FULL_NAME, Lookup, Resolved
from importer.mapping.values import Fault
from importer.text import one_line

ACCOUNTS_PAGE_SIZE: Final = 1000
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


class _Known(NamedTuple):
    """Something a value can stand for. text: its attribute as stored, "" where it was not given back."""

    id: str
    text: str
    name: str
    active: bool = True


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
        known = (kept or {}).get((lookup, key))
        if isinstance(known, str):
            answers[lookup, key] = known
        else:
            open_values.setdefault(lookup, {}).setdefault(key, value)
    total = len(answers) + sum(len(values) for values in open_values.values())
    progress(len(answers), total)
    users: tuple[User, ...] | None = None
    for lookup, values in open_values.items():
        if lookup.kind == "user":
            users = await tenant.users() if users is None else users
            settled = _by_users(lookup, values, users)
        else:
            found_before = any(one == lookup for one, _ in answers)
            settled = await _by_accounts(
                tenant, lookup, values, lambda count: progress(len(answers) + count, total),
                found_before=found_before,
            )  # fmt: skip
        answers.update({(lookup, key): answer for key, answer in settled.items()})
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


# ---- users -------------------------------------------------------------------------------------------


def _by_users(lookup: Lookup, values: Mapping[str, str], users: Sequence[User]) -> dict[str, Answer]:
    """Users whose attribute is the value; active ones go before inactive ones. Pure."""
    known = [_known_user(user, lookup.by) for user in users]
    known = [one for one in known if one.text]
    hint = "" if known else f" No user has an attribute {lookup.by}: check its spelling, capitals included."
    by_key: dict[str, list[_Known]] = {}
    for one in known:
        by_key.setdefault(lookup.key(one.text), []).append(one)
    near = _near(values, by_key, [one.text for one in known if one.active])
    answers: dict[str, Answer] = {}
    for key, value in values.items():
        matches = by_key.get(key, [])
        active = [one for one in matches if one.active]
        if matches and not active:
            answers[key] = Fault(
                "inactive",
                f"The user {_shown(matches[0])} is inactive in LeadSquared.",
                "Activate the user there, or write an active one.",
            )
        else:
            answers[key] = _judged(lookup, value, active, near.get(key, ()), hint)
    return answers


def _known_user(user: User, by: str) -> _Known:
    text = user.name if by == FULL_NAME else user.attributes.get(by, "")
    return _Known(user.id, text.strip(), user.name, user.active)


# ---- accounts ----------------------------------------------------------------------------------------


async def _by_accounts(
    tenant: Tenant,
    lookup: Lookup,
    values: Mapping[str, str],
    progress: Callable[[int], None],
    *,
    found_before: bool,
) -> dict[str, Answer]:
    """Value by value, or all accounts in pages of 1,000: whichever takes fewer calls.

    found_before: other values of this lookup were found, so that it is right as such.
    """
    known: list[_Known] = []
    missing = list(values)
    if len(values) > FEW_VALUES:
        record_count, known = await _page(tenant, lookup)
        pages = -(-record_count // max(len(known), 1))
        if pages - 1 <= len(values):
            known += await _further_pages(tenant, lookup, pages)
            if len({one.id.casefold() for one in known}) < record_count:
                known += await _further_pages(tenant, lookup, pages)  # the order changed meanwhile
            shown = {lookup.key(one.text) for one in known}
            missing = [key for key in values if key not in shown][:CONFIRMED_MAX]
            progress(len(values) - len(missing))
    known = [one for one in known if one.text]
    known_ids = {one.id.casefold() for one in known}
    done = len(values) - len(missing)
    for start in range(0, len(missing), TOGETHER):
        chunk = missing[start : start + TOGETHER]
        asked = (_page(tenant, lookup, value=values[key]) for key in chunk)
        ended = await asyncio.gather(*asked, return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
            found = one[1]
            known += [each for each in found if each.id.casefold() not in known_ids]
            known_ids |= {each.id.casefold() for each in found}
        done += len(chunk)
        progress(done)
    return _judge_accounts(lookup, values, known, found_before=found_before)


async def _page(
    tenant: Tenant, lookup: Lookup, *, page: int = 1, value: str | None = None
) -> tuple[int, list[_Known]]:
    """How many accounts there are in all, and a page of them; of those that LeadSquared finds for `value`."""
    answer = await tenant.companies(
        lookup.company_type or "", ("CompanyId", "CompanyName", lookup.by),
        equal=None if value is None else (lookup.by, value), page=page, page_size=ACCOUNTS_PAGE_SIZE,
    )  # fmt: skip
    return answer.record_count, [
        _Known(
            one.id,
            # Where the attribute was not given back, LeadSquared's own comparison counts.
            one.attributes.get(lookup.by, "").strip() or value or "",
            one.attributes.get("CompanyName", "").strip(),
        )
        for one in answer.found
    ]


async def _further_pages(tenant: Tenant, lookup: Lookup, pages: int) -> list[_Known]:
    """All pages but the first."""
    known: list[_Known] = []
    for page in range(2, min(pages, ACCOUNT_PAGES_MAX) + 1):
        known += (await _page(tenant, lookup, page=page))[1]
    return known


def _judge_accounts(
    lookup: Lookup, values: Mapping[str, str], known: Sequence[_Known], *, found_before: bool
) -> dict[str, Answer]:
    """Accounts whose attribute is exactly the value. Pure."""
    by_key: dict[str, dict[str, _Known]] = {}
    for one in known:
        if one.text:
            by_key.setdefault(lookup.key(one.text), {})[one.id.casefold()] = one
    texts = list(dict.fromkeys(one.text for one in known if one.text))
    near = _near(values, by_key, texts)
    hint = ""
    if not any(key in by_key for key in values) and not texts and not found_before:
        hint = (
            f" None of the values was found: check `by: {lookup.by}` (capitals count, and a wrong one gives "
            f"no error) and `company_type: {lookup.company_type}` in the mapping."
        )
    return {
        key: _judged(lookup, value, list(by_key.get(key, {}).values()), near.get(key, ()), hint)
        for key, value in values.items()
    }


# ---- answers -----------------------------------------------------------------------------------------


def _judged(lookup: Lookup, value: str, matches: Sequence[_Known], near: Sequence[str], hint: str) -> Answer:
    """One match is an answer; none or several are a reason, with what it may have meant."""
    if len(matches) == 1:
        return matches[0].id
    what = "user" if lookup.kind == "user" else f"account of type {lookup.company_type}"
    value = one_line(value, SHOWN_LENGTH_MAX)
    if matches:
        shown = "; ".join(_shown(one) for one in matches[:CANDIDATES_MAX])
        more = f" and {len(matches) - CANDIDATES_MAX} more" if len(matches) > CANDIDATES_MAX else ""
        kind = "users have" if lookup.kind == "user" else "accounts have"
        return Fault(
            "found-twice",
            f"{len(matches)} {kind} the {lookup.by} '{value}': {shown}{more}.",
            "Make it unique in LeadSquared, or look up by another attribute.",
        )
    meant = f" Near: {', '.join(near)}." if near else ""
    return Fault(
        "not-found",
        f"No {what} has the {lookup.by} '{value}'.{meant}{hint}",
        "Correct the cell, or add it in LeadSquared.",
    )


def _shown(one: _Known) -> str:
    return one_line(f"{one.name or one.text} ({one.id})", 2 * SHOWN_LENGTH_MAX)


def _near(
    values: Mapping[str, str], found: Mapping[str, object], texts: Sequence[str]
) -> dict[str, Sequence[str]]:
    """For values that were not found, the stored texts that look most like them."""
    missing = [key for key in values if key not in found][:NEAR_MAX]
    return {key: _nearest(values[key][:SHOWN_LENGTH_MAX], texts) for key in missing} if texts else {}


def _nearest(value: str, texts: Sequence[str]) -> list[str]:
    """The texts most like `value`, the same in another case first."""
    from rapidfuzz import fuzz, process, utils

    found = process.extract(
        value,
        texts,
        scorer=fuzz.ratio,
        processor=utils.default_process,
        limit=CANDIDATES_MAX,
        score_cutoff=NEAR_ENOUGH,
    )
    return [one_line(text, SHOWN_LENGTH_MAX) for text, _, _ in found]
