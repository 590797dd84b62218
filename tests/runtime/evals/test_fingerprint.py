"""The digest of code follows imports to the end, and nothing else."""

from __future__ import annotations

from runtime.evals.fingerprint import ROOT, _reached, code_digest


def test_imports_are_followed_to_the_end() -> None:
    reached = {str(path.relative_to(ROOT)) for path in _reached(["runtime.evals.run"])}
    assert {"runtime/evals/run.py", "runtime/evals/wrap.py", "models/types.py", "runtime/db.py"} <= reached
    assert "runtime/cli/main.py" not in reached


def test_the_digest_is_the_same_again_and_differs_between_modules() -> None:
    assert code_digest(["models.types"]) == code_digest(["models.types"])
    assert code_digest(["models.types"]) != code_digest(["models.errors"])


def test_modules_of_others_are_passed_over() -> None:
    assert code_digest(["numpy", "json", ""]) == code_digest([])
