"""Use cases: what can be done with a sheet or a batch. No printing, no prompting, no HTML.

The Python API is this room. Each name is loaded when it is asked for, so that a command pays only for what it
uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importer.app.batches import batch_status, list_batches
    from importer.app.check_sheet import check
    from importer.app.correct_batch import discard_correct, prepare_correct, start_correct
    from importer.app.erasing import erase
    from importer.app.keys import login, logout, whoami
    from importer.app.observer import Observer, Progress, Silent, Stage, StopHandle
    from importer.app.options import (
        CallOptions,
        CheckOptions,
        CorrectOptions,
        ProposeOptions,
        ResumeOptions,
        RunOptions,
        ScreenChanges,
        SendingOptions,
        SheetInput,
        VerifyOptions,
    )
    from importer.app.plan import Plan, answer, discard, start
    from importer.app.propose_mapping import ProposedMapping, propose
    from importer.app.questions import (
        Answers,
        Choice,
        DeclinedError,
        Question,
        QuestionKind,
        QuestionOpenError,
    )
    from importer.app.records import BatchStatus, CheckReport, EarlierImport, RunResult, VerifyResult
    from importer.app.report_page import write_report
    from importer.app.resume import prepare_resume
    from importer.app.run import prepare_run
    from importer.app.sheet_input import save_frame
    from importer.app.stores import copy_store, open_store, store_info
    from importer.app.verify_batch import verify

__all__ = [
    "Answers", "BatchStatus", "CallOptions", "CheckOptions", "CheckReport", "Choice", "CorrectOptions",
    "DeclinedError", "EarlierImport", "Observer", "Plan", "Progress", "ProposeOptions", "ProposedMapping",
    "Question", "QuestionKind", "QuestionOpenError", "ResumeOptions", "RunOptions", "RunResult",
    "ScreenChanges", "SendingOptions", "SheetInput", "Silent", "Stage", "StopHandle", "VerifyOptions",
    "VerifyResult", "answer", "batch_status", "check", "copy_store", "discard", "discard_correct",
    "erase", "list_batches", "login", "logout", "open_store", "prepare_correct", "prepare_resume",
    "prepare_run", "propose", "save_frame", "start", "start_correct", "store_info", "verify", "whoami",
    "write_report",
]  # fmt: skip

_MODULES: Final = (
    "options",
    "questions",
    "observer",
    "plan",
    "check_sheet",
    "batches",
    "records",
    "stores",
    "keys",
    "propose_mapping",
    "sheet_input",
    "run",
    "resume",
    "verify_batch",
    "correct_batch",
    "erasing",
    "report_page",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in __all__:
        for module in _MODULES:
            loaded = import_module(f"{__name__}.{module}")
            if name in vars(loaded):
                return vars(loaded)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
