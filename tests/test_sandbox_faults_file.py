"""The faults file: every example of its description works, every mistake is told with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sandbox_caller import QUICK, Caller

import importer.sandbox
from importer.sandbox import FaultsError, Sandbox, SandboxOptions, load_faults, read_faults
from importer.sandbox.rules import TenantRules

FAULTS_MD = Path(importer.sandbox.__file__).with_name("FAULTS.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", FAULTS_MD, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
async def test_every_example_is_served(example: str, tmp_path: Path) -> None:
    """Read from a file; ten Creates and a Retrieve meet nothing that the tenant did not mean."""
    path = tmp_path / "faults.yaml"
    path.write_text(example, encoding="utf-8")
    async with (
        Sandbox(SandboxOptions(**{**QUICK, "faults": load_faults(path)})) as sandbox,
        Caller(sandbox, timeout_s=0.3) as call,
    ):
        for _ in range(10):
            try:
                await call.create()
                await call.retrieve()
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                continue
        assert len(sandbox.calls) >= 10


def test_the_description_names_every_key_and_every_fault() -> None:
    """Nothing can be said in a faults file, down to each choice, that FAULTS.md does not tell."""
    schema = importer.sandbox.FaultsFile.model_json_schema()
    kinds = [
        each["properties"]["do"]["const"]
        for each in schema["$defs"].values()
        if "do" in each.get("properties", {})
    ]
    names = {*TenantRules.model_fields, *schema["properties"], *kinds}
    for kind in schema["$defs"].values():
        names |= kind.get("properties", {}).keys()
    names |= {
        word
        for part in re.findall(r'"enum": \[(.*?)\]', json.dumps(schema))
        for word in json.loads(f"[{part}]")
    }
    missing = sorted(name for name in map(str, names) if not re.search(rf"\b{re.escape(name)}\b", FAULTS_MD))
    assert missing == []


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"faults": [{"do": "drop"}, {"do": "slow"}]}, "faults[2].seconds: "),
        ({"faults": [{"do": "explode"}]}, "faults[1]: "),
        ({"faults": [{"do": "drop", "chance": 2}]}, "faults[1].chance: "),
        ({"faults": [{"do": "drop", "on": "creat"}]}, "faults[1].on[1]: "),
        ({"faults": [{"do": "drop", "from_s": 5, "until_s": 5}]}, "until_s must be greater than from_s"),
        ({"faults": [{"do": "drop", "comit": True}]}, "faults[1].comit: "),
        ({"tenant": {"missing_accounts": ["ACC-1"]}}, "'ACC-1' is not a GUID"),
        ({"tenant": {"fields": {"mx_Custom_1": {"type": "money"}}}}, "tenant.fields.mx_Custom_1.type: "),
        ({"other_clients": [{}]}, "give either share or burst"),
        ({"existing": [{"account": "x", "event": 1}]}, "existing[1].account: "),
        (["drop"], "the file: "),
    ],
)
def test_a_mistake_is_told_with_its_place(given: Any, place: str) -> None:  # noqa: ANN401 - whatever YAML says
    """Counted from 1, as a person would."""
    with pytest.raises(FaultsError, match=re.escape(place)):
        read_faults(given, "faults.yaml")


def test_all_mistakes_are_told_at_once() -> None:
    """Gathered, then spoken."""
    with pytest.raises(FaultsError) as caught:
        read_faults({"faults": [{"do": "slow"}, {"do": "redirect"}], "seeds": 1}, "faults.yaml")
    assert str(caught.value).count(": ") >= 4
    assert str(caught.value).startswith("faults.yaml: ")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"faults: [", "neither YAML nor JSON"),
        (b"seed: 1\nseed: 2\n", "neither YAML nor JSON"),
        (b"seed: \xff\n", "not UTF-8"),
        (b"!!python/object/apply:os.system [true]\n", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    """With what is wrong."""
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(FaultsError, match=f"broken.yaml.*{says}"):
        load_faults(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As any other mistake, before anything is served."""
    with pytest.raises(FaultsError, match=r"nowhere\.yaml: cannot be read \(No such file"):
        load_faults(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", ["", "# nothing\n", "{}", '{"faults": [{"do": "drop"}], "seed": 3}'])
def test_an_empty_file_and_json_are_fine(content: str, tmp_path: Path) -> None:
    """JSON is YAML; nothing is no fault."""
    path = tmp_path / "faults.json"
    path.write_text(content, encoding="utf-8")
    assert len(load_faults(path).faults) == content.count("drop")
