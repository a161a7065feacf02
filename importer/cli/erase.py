"""`importer erase`: a batch's customer data removed."""

from __future__ import annotations

from importer.app.questions import DeclinedError
from importer.app.stores import erase as erase_batch
from importer.app.stores import erase_question, find_batch, open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import confirmed
from importer.wording import count


def erase(console: Console, *, batch: options.BatchId, yes: options.YesToAll = False) -> int:
    """Remove a batch's customer data from the store.

    Cells, messages and look-ups are overwritten. Fingerprints and Ids stay, so that the sheet is still
    recognised. An erased batch cannot be resumed, verified or corrected. What is in LeadSquared stays.

    \b
    Examples:
      importer erase b20261123-210501-7f3a9c
      importer erase visits.results.csv --yes
    """
    with open_store(create=False) as store:
        named = find_batch(batch, store)
        question = erase_question(named.id, store)
        if not yes and not confirmed(console, question):
            raise DeclinedError("Nothing was removed.")
        result = erase_batch(named.id, store)
    lines = [f"The data of {count(result.rows, 'row')} of batch {result.batch} was removed from the store."]
    if result.files:
        lines.append("These files still hold it; delete them yourself if they are not needed:")
        lines += [f"  {path}" for path in result.files]
    console.result("\n".join(lines), result.as_json())
    return 0
