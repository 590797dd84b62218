"""What can go wrong in models/.

ModelsError
├── ManifestError      a manifest, spec or catalog file is not valid
├── StoreError         the artifact store
│   ├── UnknownModel       no such name in the catalog or the store
│   ├── NotInstalled       known, but its files are not on this device
│   ├── DigestMismatch     bytes do not have the promised digest
│   ├── StoreFull          no room on the disk
│   └── TermsNotAccepted   the model's terms must be accepted first
├── SourceError        a source could not deliver
│   └── SourceUnreachable  no network, or the host refused
├── BackendError       running a model
│   ├── BadArtifact        the file is not a model this backend can load
│   ├── OutOfMemory        does not fit the memory budget
│   ├── WorkerDied         the worker process ended; the node stays up
│   ├── OtherWeights       an answer was begun by other weights than are here
│   ├── ContextOverflow    prompt and budget exceed the context
│   └── TemplateError      the model's chat template failed or is hostile
├── ConstraintError    a schema that is not valid, or that no output can satisfy
├── ExtraMissing       an optional part of Covey is not installed
├── DeadlineExceeded   the time given ran out
└── InputError         the request's input does not fit the specialist
"""

from __future__ import annotations


class ModelsError(Exception):
    """Base of every error here. `str(error)` is one sentence that says what happened and what to do next."""

    code = "models_error"


class ManifestError(ModelsError):
    """A manifest or spec file is not valid; the message names the file and the field."""

    code = "bad_manifest"


class StoreError(ModelsError):
    """The artifact store could not do what was asked."""

    code = "store_error"


class UnknownModel(StoreError):
    """No model of that name. Run `covey models list` to see the names."""

    code = "unknown_model"


class NotInstalled(StoreError):
    """The model's files are not on this device. Run `covey models pull NAME`."""

    code = "model_not_installed"


class DigestMismatch(StoreError):
    """The bytes are not the promised ones; they were not kept."""

    code = "digest_mismatch"


class StoreFull(StoreError):
    """The disk is full. Free some space and run the command again; finished parts are kept."""

    code = "disk_full"


class TermsNotAccepted(StoreError):
    """The model comes with terms of its own. Read them, then run the pull with `--accept-terms`."""

    code = "terms_not_accepted"


class SourceError(ModelsError):
    """A source could not deliver the file."""

    code = "source_error"


class SourceUnreachable(SourceError):
    """The network or the host is out of reach."""

    code = "source_unreachable"


class BackendError(ModelsError):
    """A model could not be run."""

    code = "backend_error"


class BadArtifact(BackendError):
    """The file is damaged or of a kind that this backend can't load."""

    code = "bad_artifact"


class OutOfMemory(BackendError):
    """The model does not fit into the memory budget; the message says how much is needed."""

    code = "out_of_memory"


class WorkerDied(BackendError):
    """The model's process ended unexpectedly. Ask again: it is started afresh."""

    code = "worker_died"


class OtherWeights(BackendError):
    """The answer was begun by another model than is here, which can't go on with it; it begins again."""

    code = "other_weights"


class ContextOverflow(BackendError):
    """Prompt and answer budget do not fit into the model's context; the message has the numbers."""

    code = "context_overflow"


class TemplateError(BackendError):
    """The chat template inside the model file failed or tried something that is not allowed."""

    code = "bad_template"


class ConstraintError(ModelsError):
    """The schema is not valid, or no output can satisfy it."""

    code = "bad_constraint"


class ExtraMissing(ModelsError):
    """This needs libraries that are not installed; the message has the pip command."""

    code = "extra_missing"


class DeadlineExceeded(ModelsError):
    """The time given to the request ran out."""

    code = "deadline_exceeded"


class InputError(ModelsError):
    """The request's input does not fit what the specialist expects."""

    code = "bad_input"
