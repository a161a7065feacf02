"""A refusal is shown with the column and the value of each field that it names."""

from __future__ import annotations

from importer.activity import Activity
from importer.sending.worker_pool import with_columns

SENT = Activity(
    "8933fa5e-5b39-11e9-826a-0622360da6f0",
    10001,
    "Visit",
    (("mx_Custom_1", "Wno"), ("mx_Custom_2", ""), ("mx_Custom_3", "x" * 500)),
)
COLUMNS = {"RelatedCompanyId": "Account ID", "mx_Custom_1": "Outcome", "mx_Custom_2": "City"}


def shown(message: str, code: str = "MXInvalidInputException") -> str:
    return with_columns(message, code, SENT, COLUMNS)


def test_a_field_is_named_with_its_column_and_its_value() -> None:
    """Whatever the spelling of its name; LeadSquared's words stay as they are."""
    said = "Invalid value for 'MX_custom_1'."
    assert shown(said) == f"{said} mx_Custom_1 is column 'Outcome', value 'Wno'."


def test_a_field_that_was_not_sent_is_empty() -> None:
    """A mandatory field without a value."""
    assert shown("mx_Custom_2 is mandatory.").endswith("mx_Custom_2 is column 'City', value (empty).")


def test_a_field_without_a_column_has_its_value_only_and_that_is_bounded() -> None:
    """A constant, or a template of several columns."""
    message = shown("mx_Custom_3 is too long.")
    assert "mx_Custom_3 has the value 'xxx" in message
    assert len(message) < 200


def test_an_account_that_does_not_exist_is_named() -> None:
    """LeadSquared's message does not say which reference is wrong."""
    message = shown("Entity does not exist.", "MXInvalidEntityReferenceException")
    assert message.endswith(f"RelatedCompanyId is column 'Account ID', value '{SENT.company_id}'.")


def test_a_message_that_names_no_field_stays_as_it_is() -> None:
    """Nothing is guessed."""
    assert shown("Something is wrong.") == "Something is wrong."
