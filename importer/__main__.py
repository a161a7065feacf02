"""`python -m importer`: the same as the console script."""

from importer.cli.main import main

if __name__ == "__main__":
    main()
