"""One catalogue: what each code in `import_error_code` means, and what its reader can do about it.

Messages, results files, the report and README's troubleshooting table all take their words from here,
so that they cannot disagree. `MX…` entries: the vendor's documentation, error-handling page, and what
integrators observed; the other codes are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Remedy:
    """A code for a person: `meaning` says what happened, `action` what to do. Full sentences, one line."""

    code: str
    meaning: str
    action: str


UNKNOWN_FAMILY: Final = "MXUnknown…Exception"
OTHER_EXCEPTION: Final = "another MX…Exception"
OTHER_STATUS: Final = "another http-…"
_NO_SUCH_API: Final = (
    "There is no LeadSquared API at this address.",
    "Check LEADSQUARED_HOST (`importer whoami` names the right one), then resume.",
)

_FINAL: Final = (
    (
        "MXMandatoryAttributeMissingException",
        "A required value is missing.",
        "Fill in the cell, or map a column (or a constant) to that field, then resume.",
    ),
    (
        "MXInvalidInputException",
        "LeadSquared does not accept one of the values.",
        "Correct the value that the message names in the results file, then resume.",
    ),
    (
        "MXInvalidActivityException",
        "LeadSquared does not know this activity type.",
        (
            "Compare ActivityEvent in the mapping with the code in Settings > Accounts Customization, "
            "then resume with `-m MAPPING --remap`."
        ),
    ),
    (
        "MXInvalidActivityFieldsException",
        "A field of the activity is missing, unknown or of the wrong kind.",
        (
            "Compare the field that the message names with the activity type in Settings > Accounts "
            "Customization; correct the cell or the mapping, then resume."
        ),
    ),
    (
        "MXInvalidEntityReferenceException",
        "The account, or another record that the row points to, does not exist.",
        "Check the account's Id (it may have been deleted or merged), correct it, then resume.",
    ),
    (
        "MXInvalidDataTypeException",
        "A value has the wrong type for its field (text in a number field, for example).",
        "Correct the cell, or give the field its `type` in the mapping, then resume.",
    ),
    (
        "MXDuplicateEntryException",
        "LeadSquared already has an entry with this content.",
        "Look at the account: if the activity is there, set import_status to `skipped`.",
    ),
    (
        "MXUnAuthorizedAccessException",
        "The user of these keys is not allowed to do this.",
        (
            "Ask an administrator for the permission to create activities on this account, "
            "then `resume --retry-failed`."
        ),
    ),
    (
        "MXUnauthorizedRequestException",
        "The user of these keys is not allowed to make this call.",
        (
            "Ask an administrator for the permission, or use the keys of another user, "
            "then `resume --retry-failed`."
        ),
    ),
    (
        "MXXSSException",
        "LeadSquared treats a value as program code (text with < and >, for example).",
        "Remove the angle brackets or the markup from the cell, then resume.",
    ),
    (
        "MXInvalidOperationException",
        "LeadSquared does not allow this on this account or activity type.",
        "Read the message; correct the row or the settings in LeadSquared, then `resume --retry-failed`.",
    ),
)
_REFUSED: Final = (
    (
        UNKNOWN_FAMILY,
        "LeadSquared refused the row without a specific reason.",
        "Read the message; correct the row and resume, or send the message to LeadSquared's support.",
    ),
    (
        "MXInvalidAccessDetailsException",
        "The access key or the secret key is wrong, or was revoked.",
        "Check both keys in My Account > Settings > API and Webhooks, then resume.",
    ),
    (
        "MXAPIRateLimitExceededException",
        "The tenant's limit of API calls was reached; every integration on it counts.",
        "Nothing to do: the importer waits and continues. A lower `--rate` leaves more to the others.",
    ),
    (
        OTHER_EXCEPTION,
        "LeadSquared refused the row with an exception that is not on the known list.",
        "Read the message; correct the row and resume, or `resume --retry-failed` if the cause has passed.",
    ),
    (
        "refused",
        "LeadSquared refused the row and named no exception.",
        "Read the message; correct the row, then resume.",
    ),
    ("rate-limit", "The tenant's limit of API calls was reached.", "Nothing to do: the importer waits."),
    (
        "http-401",
        "LeadSquared refused the keys.",
        "Check LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY (`importer whoami`), then resume.",
    ),
    (
        "http-3xx",
        "The address answers with a redirect; redirects are never followed, because the keys would follow.",
        "Check LEADSQUARED_HOST, and whether the network asks you to sign in first; then resume.",
    ),
    ("http-404", *_NO_SUCH_API),
    ("http-405", *_NO_SUCH_API),
)
_DOUBTFUL: Final = {
    "http-500": "LeadSquared failed without saying why",
    "http-502": "A gateway in front of LeadSquared failed",
    "http-503": "LeadSquared was not available",
    "http-504": "A gateway gave up waiting for LeadSquared",
    OTHER_STATUS: "LeadSquared gave an unexpected answer",
    "timeout": "No answer came within `--timeout`",
    "connection-lost": "The connection broke before the answer",
    "cut-off": "The answer ended half-way",
    "unreadable": "The answer is empty or is not JSON",
    "no-id": "The answer says neither the new Id nor an error",
    "id-taken": "LeadSquared answered with the Id of another row",
    "too-large": "The answer was too large to be LeadSquared's",
    "cancelled": "The run was stopped during the call",
    "interrupted": "The run was interrupted during the call",
    "rebuilt": "The batch was rebuilt from its results file",
    "sent-elsewhere": "The batch was continued elsewhere",
}
"""What happened to rows that may or may not have been created."""
_NOT_SENT: Final = (
    ("dns", "The host's name could not be found.", "Check the network. "),
    ("connection-refused", "No connection to the host was possible.", "Check the network. "),
    (
        "tls",
        "No secure connection was possible: the certificate or the encryption was not accepted.",
        "Check the computer's date and certificates, and ask IT whether a proxy inspects traffic. ",
    ),
    ("connect-timeout", "The host did not accept the connection in time.", "Check the network. "),
    (
        "proxy",
        "The network's proxy refused the connection (407: it wants a user name and password).",
        "Set HTTPS_PROXY to http://USER:PASSWORD@PROXY:PORT, or ask IT. ",
    ),
    ("not-sent", "The call ended before anything was sent.", ""),
)
_OURS: Final = (
    (
        "invalid",
        "A cell does not fit the mapping, so this row was not sent.",
        "Correct the cell in the results file, then resume.",
    ),
    (
        "gave-up",
        "All attempts were used up; the last lookup found nothing in LeadSquared.",
        "Resume when LeadSquared works again; `--max-attempts` allows more.",
    ),
    (
        "uncertain",
        "It is not clear whether the row was created.",
        (
            "Look at the account: set import_status to `pending` if the activity is not there, "
            "or to `created` with its Id pasted into import_activity_id; then resume."
        ),
    ),
    (
        "duplicate",
        "The row is in LeadSquared twice: an earlier attempt showed up after the row was sent again.",
        "Delete all but one of the activities in LeadSquared.",
    ),
    (
        "conflict",
        "The field was changed in LeadSquared since it was sent, so the correction was left out.",
        "Compare both values; `importer correct RESULTS --overwrite` replaces the one in LeadSquared.",
    ),
    (
        "not-corrected",
        "LeadSquared accepted the update, but the field does not hold the new value.",
        "Check the field's type and options in LeadSquared, then `importer correct RESULTS`.",
    ),
    (
        "not-found",
        "LeadSquared has no activity of this Id any more; nothing was changed.",
        "Ask in LeadSquared whether it was deleted; `importer verify` lists such rows.",
    ),
)
_LOOKED_UP: Final = (
    "Nothing to do: the importer checks in LeadSquared whether the row was created; `resume` checks again."
)
_SENT_AGAIN: Final = "The row was not sent: `resume` sends it."

CATALOGUE: Final = {
    code: Remedy(code, meaning, action)
    for code, meaning, action in (
        *_FINAL,
        *_REFUSED,
        *((code, f"{what}; the row may or may not have been created.", _LOOKED_UP)
          for code, what in _DOUBTFUL.items()),
        *((code, what, f"{first}{_SENT_AGAIN}") for code, what, first in _NOT_SENT),
        *_OURS,
    )
}  # fmt: skip
_BY_FOLDED_CODE: Final = {code.casefold(): remedy for code, remedy in CATALOGUE.items()}

KNOWN_REFUSALS: Final = tuple(code for code, _, _ in _FINAL)
"""Exceptions that are final: the same row is refused again however often it is sent (the vendor's own
asynchronous service never retries them). The family `MXUnknown…` belongs to them too."""

_KNOWN_FOLDED: Final = frozenset(map(str.casefold, KNOWN_REFUSALS))


def _folded(code: str) -> str:
    """In lower case; an exception's name with its suffix, which some answers leave out."""
    folded = code.casefold()
    return f"{folded}exception" if folded.startswith("mx") and not folded.endswith("exception") else folded


def is_known_refusal(exception_type: str) -> bool:
    """Whether sending the same row again is pointless, whatever HTTP status the exception came with."""
    folded = _folded(exception_type)
    return folded in _KNOWN_FOLDED or folded.startswith("mxunknown")


def remedy_for(code: str) -> Remedy:
    """The entry of `code`; families (`MXUnknown…`, other `MX…`, other `http-…`) share one. Never fails."""
    folded = _folded(code)
    if exact := _BY_FOLDED_CODE.get(folded):
        return exact
    if folded.startswith("mx"):
        return CATALOGUE[UNKNOWN_FAMILY if folded.startswith("mxunknown") else OTHER_EXCEPTION]
    if re.fullmatch(r"http-3\d\d", folded):
        return CATALOGUE["http-3xx"]
    return CATALOGUE[OTHER_STATUS if folded.startswith("http-") else "refused"]
