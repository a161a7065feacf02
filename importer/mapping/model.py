"""The mapping file's shape, as pydantic models: the loader checks against them, and the JSON Schema that
editors use is made from them.

Every scalar arrives as the text in the file (`yaml_file.py`); only where a model wants a
number or a yes/no is one made of it. What the *combination* of keys means is checked in `builder.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from importer.activity import ACCOUNT, EVENT, NOTE
from importer.findings import QUESTIONS
from importer.mapping.choices import did_you_mean
from importer.sheets.text import DELIMITER_NAMES
from importer.text import quoted

SCHEMA_FILE: Final = "mapping.schema.json"
SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

SCHEMA_NAME: Final = "^[A-Za-z][A-Za-z0-9_]*$"

OWN: Final = "own"
"""The type of errors whose message is a whole sentence."""
MARKER_TAKEN: Final = "{} is filled by the sheet; the marker needs a field of its own."
DELIMITERS: Final = {mark: mark for mark in ",;|\t"} | DELIMITER_NAMES

MODIFIER_TYPES: Final = {
    "max_length": ("text",),
    "format": ("date", "datetime"),
    "locale": ("date", "datetime"),
    "timezone": ("datetime",),
    "send": ("boolean",),
    "decimal": ("number", "integer"),
    "currency": ("number", "integer"),
    "separator": ("list",),
    "join": ("list",),
}
"""The types that a key belongs to."""

_TEXT_JSON: Final = {"type": ["string", "number", "boolean", "null"]}
"""An editor's YAML reader makes numbers of `007` and null of `null`; we take the text."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "text", "Write a single text here; put quotes around it if it contains { or [."
        )
    return value


def _flag(value: object) -> bool:
    answer = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
    if answer is None:
        raise PydanticCustomError("flag", "Write true or false here.")
    return answer


def _whole(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < 1:
        raise PydanticCustomError("whole", "Write a whole number from 1 here.")
    return int(value)


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        common = "Common ones: utf-8, cp1252, utf-16."
        text = f"{quoted(name)} is not an encoding that is known here. {common}"
        raise PydanticCustomError(OWN, text) from error
    return name


def _delimiter(text: str) -> str:
    found = DELIMITERS.get(text) or DELIMITERS.get(text.strip().lower())
    if found is None:
        raise PydanticCustomError(OWN, f"{quoted(text)} is not a delimiter. Write one of , ; | or tab.")
    return found


def _marker(name: str) -> str:
    if not re.fullmatch(SCHEMA_NAME, name):
        raise PydanticCustomError(OWN, f"{quoted(name)} is not a schema name, such as mx_Custom_9.")
    if name in {ACCOUNT, EVENT, NOTE}:
        raise PydanticCustomError(OWN, MARKER_TAKEN.format(name))
    return name


def _question(kind: str) -> str:
    if kind not in QUESTIONS:
        known = f"{did_you_mean(kind, QUESTIONS)} Questions: {', '.join(QUESTIONS)}."
        raise PydanticCustomError(OWN, f"{quoted(kind)} is not a question.{known}")
    return kind


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1), WithJsonSchema(_TEXT_JSON)]
TextOrEmpty = Annotated[str, BeforeValidator(_text), WithJsonSchema(_TEXT_JSON)]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
Whole = Annotated[int, BeforeValidator(_whole), WithJsonSchema({"type": "integer", "minimum": 1})]
_ONE_OR_SEVERAL: Final = (
    BeforeValidator(_list),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_TEXT_JSON, {"type": "array", "items": _TEXT_JSON, "minItems": 1}]}),
)
Texts = Annotated[list[Text], *_ONE_OR_SEVERAL]
Questions = Annotated[list[Annotated[Text, AfterValidator(_question)]], *_ONE_OR_SEVERAL]


class _Short:
    """Lets a plain text stand for a whole block: `Account ID` for `{column: Account ID}`."""

    def __init__(self, key: str, plain: dict[str, Any], number_key: str = "") -> None:
        """key: what the text is then. number_key: what digits alone are. plain: the text's JSON Schema."""
        self._key, self._plain, self._number_key = key, plain, number_key or key

    def _expand(self, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {self._number_key if re.fullmatch(r"[0-9]+", value.strip()) else self._key: value}

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:  # noqa: ANN401 - pydantic's own signature
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [self._plain, handler(schema)]}


def _one_source(*names: str) -> dict[str, Any]:
    """JSON Schema for: exactly one of these keys."""
    return {"oneOf": [{"required": [name]} for name in names]}


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, title=None)


class SendSpec(_Block):
    """What is sent for yes and for no."""

    model_config = ConfigDict(validate_by_alias=True)

    yes: Text = Field(alias="true", description="What is sent for yes.")
    no: Text = Field(alias="false", description="What is sent for no.")


class TableSpec(_Block):
    """A table of values in a file of its own."""

    path: Text = Field(description="CSV or XLSX file, in the mapping's folder or below it.")
    key: Text | None = Field(
        None, description="Column with what the cells say. Default: `key`, else the first."
    )
    value: Text | None = Field(
        None, description="Column with what is sent. Default: `value`, else the second."
    )
    sheet: Text | None = Field(None, description="The sheet's name, if the workbook has several.")


Table = Annotated[TableSpec, _Short("path", _TEXT_JSON)]
Values = Annotated[
    dict[str, TextOrEmpty],
    Field(
        min_length=1,
        description="What the cell says: what is sent. Any other value is a problem.",
    ),
]
LookupKind = Literal["user", "account"]

_LOOKUP_JSON: Final[list[Any]] = [
    {"if": {"required": ["by"]}, "then": {"required": ["lookup"]}},
    {
        "if": {"properties": {"lookup": {"const": "account"}}, "required": ["lookup"]},
        "then": {"required": ["by", "company_type"]},
    },
]


class _Source(_Block):
    """What all blocks share: where the value comes from, and what becomes of it."""

    column: Text | None = Field(None, description="Heading of the column in the sheet.")
    value: TextOrEmpty | None = Field(None, description="The same value for every row.")
    default: Text | None = Field(None, description="What an empty cell stands for.")
    values: Values | None = None
    values_file: Table | None = Field(None, description="`values` as a CSV or XLSX file with two columns.")


class CompanySpec(_Source):
    """The account that the activity belongs to."""

    model_config = ConfigDict(
        json_schema_extra={**_one_source("column", "value"), "allOf": _LOOKUP_JSON},
    )

    type: Literal["id"] | None = Field(None, description="Always id.")
    required: Flag | None = Field(None, description="Always true.")
    lookup: LookupKind | None = Field(None, description="Let LeadSquared find the account's Id.")
    by: Text | None = Field(None, description="The account's attribute that the column holds.")
    company_type: Text | None = Field(None, description="The account type to search, such as Account.")


class EventSpec(_Source):
    """The activity type's code."""

    model_config = ConfigDict(json_schema_extra=_one_source("column", "value"))

    type: Literal["integer"] | None = Field(None, description="Always integer.")
    required: Flag | None = Field(None, description="Always true.")


class NoteSpec(_Source):
    """The activity's note: a text."""

    model_config = ConfigDict(json_schema_extra=_one_source("column", "value", "template"))

    template: Text | None = Field(
        None, description="Text with columns in braces: {Outcome}: {Remarks}. With a datetime: {Date} {Time}."
    )
    required: Flag = Field(default=False, description="An empty cell is a problem.")
    one_of: list[Text] | None = Field(
        None, min_length=1, description="The allowed values, sent as they are written here."
    )
    max_length: Whole | None = Field(None, description="The largest number of characters allowed.")
    strip: Flag = Field(default=True, description="Leave out blanks around the text.")
    send_empty: Flag = Field(default=False, description="Send an empty text for an empty cell.")


class FieldSpec(NoteSpec):
    """One field of the activity."""

    model_config = ConfigDict(
        json_schema_extra={
            **_one_source("column", "value", "template"),
            "allOf": [
                *_LOOKUP_JSON,
                {
                    "if": {"properties": {"type": {"const": "datetime"}}, "required": ["type"]},
                    "then": {"required": ["timezone"]},
                },
            ],
        },
    )

    type: Literal["text", "integer", "number", "boolean", "date", "datetime", "list", "id"] | None = Field(
        None, description="What the field holds. Default: text."
    )
    format: Texts | None = Field(None, description="How dates are written, such as %d/%m/%Y; one or several.")
    locale: Text | None = Field(
        None, description="Language of the month names, such as fr. Default: en (English)."
    )
    timezone: Text | None = Field(
        None, description="Time zone of the sheet's dates, such as Asia/Kolkata. Required for datetime."
    )
    send: SendSpec | None = Field(None, description='What a boolean sends: {true: "1", false: "0"}.')
    decimal: Literal[".", ","] | None = Field(None, description="The sheet's decimal mark.")
    currency: Flag | None = Field(
        None, description="Allow a currency beside the number (₹ 1,250, Rs. 500/-, 20 EUR); it is not sent."
    )
    separator: Text | None = Field(
        None, description="What separates the items of a list in the cell. Default: ;"
    )
    join: Text | None = Field(None, description="What is sent between the items of a list. Default: ;")
    lookup: LookupKind | None = Field(None, description="Let LeadSquared find the Id.")
    by: Text | None = Field(
        None, description="The attribute that the column holds, such as EmailAddress or FullName."
    )
    company_type: Text | None = Field(None, description="The account type to search, such as Account.")


Company = Annotated[CompanySpec, _Short("column", _TEXT_JSON)]
_EVENT_JSON: Final = {"anyOf": [{"type": "integer", "minimum": 1}, _TEXT_JSON]}
Event = Annotated[EventSpec, _Short("column", _EVENT_JSON, "value")]
Note = Annotated[NoteSpec, _Short("column", _TEXT_JSON)]
OneField = Annotated[FieldSpec, _Short("column", _TEXT_JSON)]


class MappingSpec(_Block):
    """How the columns of a sheet become LeadSquared account activities."""

    model_config = ConfigDict(title="Mapping of the LeadSquared activity importer")

    name: Text | None = Field(None, description="What this import is called in messages and reports.")
    sheet: Text | None = Field(None, description="The sheet's name in a workbook with several.")
    encoding: Annotated[Text, AfterValidator(_encoding)] | None = Field(
        None, description="A text file's encoding, if it is not UTF-8, such as cp1252."
    )
    delimiter: Annotated[Text, AfterValidator(_delimiter)] | None = Field(
        None, description="A text file's delimiter: one of , ; | or tab."
    )
    header_row: Whole | None = Field(
        None, description="The row with the headings, as Excel numbers it. Default: 1."
    )
    locale: Text | None = Field(
        None, description="Language of the month names in all date fields, such as fr. Default: en (English)."
    )
    accept: Questions | None = Field(
        None, description="Kinds of questions that are fine as they are, such as [mixed-dates]."
    )
    RelatedCompanyId: Company = Field(description="The account: a column of Ids, or a lookup.")
    ActivityEvent: Event = Field(description="The activity type's code, or a column that says which.")
    ActivityNote: Note | None = Field(
        None, description="The note: a column's heading, a template or a value."
    )
    marker: Annotated[Text, AfterValidator(_marker)] | None = Field(
        None, description="A text field of the activity type that only the importer fills: batch and row."
    )
    Fields: dict[str, OneField] = Field(
        default_factory=dict,
        description="The activity's other fields, by schema name.",
        json_schema_extra={"propertyNames": {"pattern": SCHEMA_NAME}},
    )


def field_spec(key: str, raw: object) -> FieldSpec:
    """Any block as that of a field: an account is an Id that is always wanted, and so on.

    key: the block's place, `Fields` for a field. raw: a block that the models have found no fault with.
    """
    if isinstance(raw, str):
        code = key == EVENT and re.fullmatch("[0-9]+", raw.strip())
        raw = {"value" if code else "column": raw}
    block: dict[str, Any] = dict(cast("dict[str, Any]", raw))
    if key == ACCOUNT:
        block |= {"required": "true"} if "lookup" in block else {"required": "true", "type": "id"}
    elif key == EVENT:
        block |= {"required": "true", "type": "integer"}
    return FieldSpec.model_validate(block)


BLOCKS: Final[dict[str, type[BaseModel]]] = {
    "RelatedCompanyId": CompanySpec,
    "ActivityEvent": EventSpec,
    "ActivityNote": NoteSpec,
    "Fields": FieldSpec,
    "values_file": TableSpec,
    "send": SendSpec,
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a block as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


class _Plain(GenerateJsonSchema):
    """Without `null` beside everything that may be left out, and without pydantic's titles and defaults."""

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 - pydantic's own signature
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 - pydantic's own signature
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's own signature
        return False


def json_schema() -> dict[str, Any]:
    """The mapping's JSON Schema, for editors (`importer schema`)."""
    return {"$schema": SCHEMA_DIALECT, **MappingSpec.model_json_schema(schema_generator=_Plain)}
