"""What a person said in `import_status`: skipped, pending, created."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from importer.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.journal.journal import JournalRow
    from importer.leadsquared.calls import Tenant
    from importer.results.status_edits import StatusWord
    from importer.resuming import Reopening
    from importer.sending.reconcile.verifier import Claimed


TOLD: Final = (
    ("skip", "never sent, as you said"),
    ("take back", "to be sent after all"),
    ("not there", "not in LeadSquared, you say; it is looked up once more, then sent"),
)
"""What is said of a row for a word that holds (`Said`)."""


async def heed_words(
    console: Console,
    reopening: Reopening,
    words: Sequence[StatusWord],
    tenant: Tenant,
    claimed: Claimed,
) -> None:
    """Takes over every word that holds; says which does not, and why."""
    from importer.results.status_edits import Said

    positions = reopening.journal.positions(word.number for word in words)
    by_word: dict[Said, list[int]] = {said: [] for said in Said}
    for word in words:
        by_word[word.said].append(positions[word.number])
    for said, told in TOLD:
        for number in sorted(word.number for word in words if word.said == said):
            console.say(f"Row {number}: {told}.")
    reopening.skip(by_word[Said.SKIP])
    reopening.unskip(by_word[Said.TAKE_BACK])
    reopening.release(by_word[Said.NOT_THERE])
    for word in words:
        if word.said is Said.DELETED:
            console.warn(f"Row {word.number}: the row was created, and that cannot be undone from here.")
        if word.said is Said.CREATED:
            row = reopening.journal.row(positions[word.number])
            why_not = await _is_not_it(row, word.activity_id, tenant, reopening, claimed)
            if why_not:
                console.warn(f"Row {row.number}: {why_not} It stays uncertain.")
            else:
                reopening.created(row.position, word.activity_id)
                console.say(f"Row {row.number}: created, you say, with Id {word.activity_id}.")


async def _is_not_it(
    row: JournalRow, made: str, tenant: Tenant, reopening: Reopening, claimed: Claimed
) -> str:
    """Why the activity cannot be this row's; "" when it can. Read back where the keys may read."""
    from importer.activity import addressed
    from importer.sending.reconcile.normalise import id_key

    if reopening.journal.claimed([made]) or claimed([made]):
        return f"another row holds the Id {made} already."
    account = addressed(row.activity or b"")[0]
    stored = await tenant.activity(made)
    if stored is None:
        if await _may_not_read(account, tenant):
            return ""  # the person's word stands
        return f"LeadSquared has no activity {made}."
    if id_key(stored.company_id) != id_key(account):
        return f"activity {made} stands on another account ({stored.company_id})."
    return ""


async def _may_not_read(account: str, tenant: Tenant) -> bool:
    """An Id that is unknown and one that these keys may not see are refused alike; a whole account is not."""
    from importer.leadsquared.outcomes import OutcomeKind

    now = dt.datetime.now(dt.UTC)
    reading = await tenant.activities(account, now - dt.timedelta(days=1), now)
    refusal = reading.outcome
    return refusal is not None and refusal.kind in {OutcomeKind.REFUSED, OutcomeKind.UNKNOWN_REFUSAL}
