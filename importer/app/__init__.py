"""Use cases: what can be done with a sheet or a batch. No printing, no prompting, no HTML.

The Python API is this room. Each name is loaded when it is asked for, so that a command pays only for what it
uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importer.app.check_sheet import check
    from importer.app.connecting import login, logout, whoami
    from importer.app.correct_batch import prepare_correct
    from importer.app.observer import Observer, Progress, Silent, Stage, StopHandle
    from importer.app.options import (
        CallOptions,
        CheckOptions,
        CorrectOptions,
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
    from importer.app.records import BatchStatus, CheckReport, RunResult, VerifyResult
    from importer.app.report_batch import write_report
    from importer.app.resume import prepare_resume
    from importer.app.run import prepare_run
    from importer.app.staging import save_frame
    from importer.app.stores import (
        batch_status,
        copy_store,
        erase,
        list_batches,
        open_store,
        store_info,
    )
    from importer.app.verify_batch import verify
    from importer.store.records import ImportedBefore

__all__ = [
    "Answers", "BatchStatus", "CallOptions", "CheckOptions", "CheckReport", "Choice", "CorrectOptions",
    "DeclinedError", "ImportedBefore", "Observer", "Plan", "Progress", "ProposedMapping",
    "Question", "QuestionKind", "QuestionOpenError", "ResumeOptions", "RunOptions", "RunResult",
    "ScreenChanges", "SendingOptions", "SheetInput", "Silent", "Stage", "StopHandle", "VerifyOptions",
    "VerifyResult", "answer", "batch_status", "check", "copy_store", "discard",
    "erase", "list_batches", "login", "logout", "open_store", "prepare_correct", "prepare_resume",
    "prepare_run", "propose", "save_frame", "start", "store_info", "verify", "whoami",
    "write_report",
]  # fmt: skip

_MODULES: Final = (
    "options", "questions", "observer", "plan", "check_sheet", "stores", "records", "connecting", "staging",
    "run", "resume", "verify_batch", "correct_batch", "report_batch", "propose_mapping",
)  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in __all__:
        for module in _MODULES:
            loaded = import_module(f"{__name__}.{module}")
            if name in vars(loaded):
                return vars(loaded)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
