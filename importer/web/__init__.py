"""The screen: the same use cases as the command line, as pages in the browser (`importer web`).

Forms and pages only: what can be done with a sheet or a batch stands in `app/`. `server.py` serves,
`guard.py` keeps strangers out, `imports.py` holds what a person brought, `jobs.py` what is under way,
`*_step.py` are the steps of an import (Send and Progress are one), `main_pages.py` the pages beside them.
"""
