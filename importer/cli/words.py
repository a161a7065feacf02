"""What a person said in `import_status`: skipped, pending, created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.calls import Tenant
    from importer.journal import JournalRow
    from importer.results_words import StatusWord
    from importer.resuming import Reopening
    from importer.verify import Claimed


async def heed_words(
    console: Console,
    reopening: Reopening,
    words: Sequence[StatusWord],
    tenant: Tenant,
    claimed: Claimed,
) -> None:
    """Takes over every word that holds; says which does not, and why."""
    from importer.results_words import Said

    positions = reopening.journal.positions(word.number for word in words)
    by_word: dict[Said, list[int]] = {said: [] for said in Said}
    for word in words:
        by_word[word.said].append(positions[word.number])
    reopening.skip(by_word[Said.SKIP])
    reopening.unskip(by_word[Said.TAKE_BACK])
    reopening.release(by_word[Said.NOT_THERE])
    for word in words:
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
    from importer.activity import Activity
    from importer.calls import ReadFailed
    from importer.outcomes import Kind
    from importer.spellings import id_key

    if reopening.journal.claimed([made]) or claimed([made]):
        return f"another row holds the Id {made} already."
    try:
        stored = await tenant.activity(made)
    except ReadFailed as error:
        if error.outcome.kind is not Kind.REFUSED:
            raise
        return ""  # these keys may not read: the person's word stands
    if stored is None:
        return f"LeadSquared has no activity {made}."
    account = Activity.decoded(row.activity or b"").company_id
    if id_key(stored.company_id) != id_key(account):
        return f"activity {made} stands on another account ({stored.company_id})."
    return ""
