"""`importer check`: read and map every row; nothing is sent."""

from __future__ import annotations

import asyncio

from importer.app.check_sheet import check as check_sheet
from importer.app.options import CallOptions, CheckOptions, SheetInput
from importer.app.records import CheckReport
from importer.app.stores import open_store
from importer.cli import check_report, options
from importer.cli.console import Console
from importer.cli.watching import watched


def check(
    console: Console,
    *,
    source: options.Source,
    mapping: options.MappingFile,
    accept: options.Accept = None,
    sheet: options.SheetName = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    hidden: options.Hidden = None,
    report: options.ReportPath = None,
    online: options.Online = False,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    rate: options.RateLimit = None,
) -> int:
    """Read and map every row of a sheet, and report what is wrong with it.

    Nothing is sent. It also says whether the sheet, or some of its rows, were imported before.

    Exit codes: 0 if every row is valid and no question is open, 1 if not, 2 if the sheet or the mapping
    cannot be used.

    \b
    Examples:
      importer check visits.csv -m visits.yaml
      importer check calls.xlsx -m calls.yaml --sheet October
      importer check visits.csv -m visits.yaml --report visits-marked.xlsx
      importer check visits.csv -m visits.yaml --online
    """
    asked = CheckOptions(
        sheet=SheetInput(path=source, sheet=sheet, encoding=encoding, delimiter=delimiter, hidden=hidden),
        mapping=mapping,
        calls=CallOptions(host=host, sandbox=sandbox, rate=rate),
        accept=options.accepted(accept),
        online=online,
        marked_copy=report,
    )
    found = asyncio.run(_check(console, asked))
    console.result("\n".join(check_report.whole(found)), found.as_json())
    if found.marked_copy is not None:
        console.say(f"The marked copy is {found.marked_copy}.")
    return found.exit_code


async def _check(console: Console, asked: CheckOptions) -> CheckReport:
    with open_store(create=False) as store, watched(console) as (observer, _stop):
        return await check_sheet(asked, store, observer)
