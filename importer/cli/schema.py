"""`importer schema`: the mapping's JSON Schema."""

from __future__ import annotations

import json

from importer.cli.console import Console
from importer.mapping.model import json_schema


def schema(console: Console) -> int:
    """Print the mapping's JSON Schema, for editors.

    \b
    Examples:
      importer schema > mapping.schema.json
      then, as the first line of a mapping:
      # yaml-language-server: $schema=mapping.schema.json
    """
    # ASCII only: the file is complete whatever encoding a Windows console redirects with.
    console.raw(json.dumps(json_schema(), indent=2, ensure_ascii=True))
    return 0
