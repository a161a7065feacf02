"""What LeadSquared answers, or whoever stands in for it, is a stranger's word."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import visits
from conftest import Importer, StartTenant
from visits import write_csv, write_mapping

pytestmark = pytest.mark.security

GUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
GUID_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
QUICK = ("--settle", "0.1", "--timeout", "2", "--max-outage", "2", "--max-attempts", "1")


def first_row(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return next(csv.DictReader(stream))


@pytest.mark.parametrize(
    "made",
    ['=HYPERLINK("http://evil.example")', "12345", "../../x", "a" * 4_000, f"{GUID}\u202e", f"+{GUID}"],
)
def test_an_id_that_is_not_a_guid_is_no_id(importer: Importer, start_tenant: StartTenant, made: str) -> None:
    """The call is in doubt and looked up; the text reaches no column of ours."""
    tenant = start_tenant()
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(1))
    answer = json.dumps({"Status": "Success", "Message": {"Id": made}})
    tenant.set_faults({"faults": [{"do": "answer", "on": "create", "status": 200, "text": answer}]})
    importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json", *QUICK)
    row = first_row(Path("visits.results.csv"))
    found = row["import_activity_id"]
    assert (found == "" or GUID_SHAPE.fullmatch(found) is not None, made in "".join(row.values())) == (
        True,
        False,
    )


def test_names_of_a_tenant_cannot_forge_a_line(importer: Importer, start_tenant: StartTenant) -> None:
    """Organisation and user are shown before anything is sent."""
    tenant = start_tenant()
    user = {
        "Id": "u", "Name": "Ana\nRows: 0\r\x1b[2J", "EmailAddress": "a@example.com", "OrgShortCode": "1",
        "OrgDisplayName": "Acme\u202e\nHost: x", "LSQCommonServiceURLs": {"api": tenant.url},
    }  # fmt: skip
    answer = json.dumps(user)
    tenant.set_faults({"faults": [{"do": "answer", "on": "whoami", "status": 200, "text": answer}]})
    said = importer("whoami")
    assert said.exit == 0
    lines = said.stdout.splitlines()
    assert [line for line in lines if line.startswith(("Rows:", "Host: x"))] == []
    assert all(line.isprintable() for line in lines)
