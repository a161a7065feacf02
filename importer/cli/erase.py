"""`importer erase`: a batch's customer data removed."""

from __future__ import annotations

from importer.app import stores
from importer.app.questions import DeclinedError, QuestionOpenError
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.text import count


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
        named = stores.find_batch(batch, store)
        question = stores.erase_question(named.id, store)
        if not yes:
            if not console.has_terminal:
                raise QuestionOpenError((question,))
            choices = [(each.value, each.text) for each in question.choices]
            if console.ask(question.text, choices) is None:
                raise DeclinedError("Nothing was removed.")
        result = stores.erase(named.id, store)
    lines = [f"The data of {count(result.rows, 'row')} of batch {result.batch} was removed from the store."]
    if result.files:
        lines.append("These files still hold it; delete them yourself if they are not needed:")
        lines += [f"  {path}" for path in result.files]
    console.result("\n".join(lines), result.as_json())
    return 0
