"""`python -m importer`, and the program for people without Python: the same as the console script.

`python -m` looks for modules in the working directory first, which may be a folder that was downloaded: it is
taken off the path. The stand-alone program starts itself again to read old workbooks in a process of their
own, and starts the screen when it is opened with the mouse, without any argument.
"""

import sys

FROZEN = getattr(sys, "frozen", False)

if __name__ == "__main__":
    if not FROZEN and not sys.flags.safe_path:
        del sys.path[0]
    if FROZEN and sys.argv[1:2] == ["--read-legacy-sheet"]:
        from importer.sheets.legacy import main as read_legacy_sheet

        raise SystemExit(read_legacy_sheet(sys.argv[2:]))
    if FROZEN and len(sys.argv) == 1:
        sys.argv.append("web")
    from importer.cli.main import main

    main()
