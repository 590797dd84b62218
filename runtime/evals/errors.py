"""What can go wrong in an evaluation.

CoveyError
├── SuiteError     a suite file is not valid, or names a metric that there is not   (UsageError)
├── RowsError      a file of rows is not in the expected form                       (DocumentInvalid)
├── RunMissing     no earlier run of that name to compare with                      (NotFound)
└── SuiteSkipped   the suite can't be run here: its data, a head or a tool is absent
"""

from __future__ import annotations

from runtime.errors import CoveyError, DocumentInvalid, NotFound, UsageError


class SuiteError(UsageError):
    """A suite file is not valid; the message names the file and the field."""

    code = "bad_suite"


class RowsError(DocumentInvalid):
    """A file of rows is not in the expected form; the message names the file, the row and the field."""

    code = "bad_rows"


class RunMissing(NotFound):
    """No earlier run of that name. Give a run id that `covey eval` printed, or the path of a run file."""

    code = "run_missing"


class SuiteSkipped(CoveyError):
    """The suite can't be run on this device; the message says what is absent and how to get it."""

    code = "suite_skipped"
