"""What the scripts say and decide before, and apart from, an installation."""

from __future__ import annotations

import ast
import io
import re
import signal
import sys
from pathlib import Path

import pytest

from runtime.cli import commands
from scripts import preflight, progress, reasons, suitable_python
from tests.scripts.made_up_clone import ROOT, Clone, make


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that nothing was ever installed in; no test here may change that."""
    return make(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_works_before_anything_is_installed(fresh: Clone, arguments: tuple[str, ...]) -> None:
    ended = fresh.covey(*arguments)
    assert (ended.code, ended.out, ended.err) == (0, commands.overview() + "\n", "")
    assert not fresh.stamp.parent.exists()


def test_help_of_a_command_works_before_anything_is_installed(fresh: Clone) -> None:
    ended = fresh.covey("ask", "--help")
    assert ended.code == 0 and "Example: covey ask" in ended.out
    assert not fresh.stamp.parent.exists()


def test_a_wrong_command_is_refused_before_anything_is_installed(fresh: Clone) -> None:
    ended = fresh.covey("trace", "show", "--json")
    assert ended.code == 2
    assert ended.error["code"] == "usage" and "'traces'" in ended.error["message"]
    assert not fresh.stamp.parent.exists()


def test_the_script_and_its_finder_are_readable_by_any_python_3() -> None:
    for name in ("covey", "test", "check", "lint", "suitable_python.py"):
        ast.parse((ROOT / "scripts" / name).read_text(encoding="utf-8"), feature_version=(3, 6))


def shim(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_a_suitable_python_is_found_behind_a_shim_that_only_has_its_name(tmp_path: Path) -> None:
    shim(tmp_path / "a", "python3.13", "exit 127")
    good = shim(tmp_path / "b", "python3.13", f'exec {sys.executable} "$@"')
    assert suitable_python.find([str(tmp_path / "a"), str(tmp_path / "b")]) == str(good)


def test_no_python_is_found_where_none_suits(tmp_path: Path) -> None:
    shim(tmp_path, "python3", "exit 1")
    shim(tmp_path, "python3.12", "not-a-command")
    assert suitable_python.find([str(tmp_path), str(tmp_path / "missing")]) is None


@pytest.mark.parametrize(
    ("output", "step"),
    [
        ("Collecting numpy==2.4.6\n", "loading numpy"),
        ("  Downloading magika-1.0.3-py3-none-any.whl (16.2 MB)\n", "downloading magika-1.0.3 (16.2 MB)"),
        ("Collecting a\nInstalling collected packages: a, b, c\n", "unpacking 3 packages"),
        ("  [83/193] /usr/bin/g++ -O3\n", f"compiling llama.cpp, step 83 of 193 ({progress.COMPILING})"),
        (
            "  Building wheel for llama-cpp-python (pyproject.toml): started\n",
            f"compiling llama.cpp ({progress.COMPILING})",
        ),
        ("something else\n", ""),
        ("", ""),
    ],
)
def test_the_step_is_read_from_pips_output(output: str, step: str) -> None:
    assert progress.step_in(output) == step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_step_is_printed_once_and_then_now_and_again() -> None:
    now = [0.0]
    stream = io.StringIO()
    line = progress.Line(stream, lambda: now[0])
    for second in range(70):
        now[0] = float(second)
        line.show(f"compiling step {second}")
    line.close()
    assert [text.split(": ")[0] for text in stream.getvalue().splitlines()] == [
        "Setting up Covey, 0:00",
        "Setting up Covey, 0:30",
        "Setting up Covey, 1:00",
    ]
    assert not re.search(r"[\r\x1b]", stream.getvalue())


def test_on_a_terminal_the_line_is_rewritten_and_wiped_at_the_end() -> None:
    stream = Terminal()
    line = progress.Line(stream, lambda: 0.0)
    line.show("a long step")
    line.show("short")
    line.close()
    last = stream.getvalue().rpartition("Setting")[0].split("\r")[-1]
    assert stream.getvalue().count("\n") == 0 and last == ""
    assert stream.getvalue().endswith("\r")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "c++: fatal error: Killed signal terminated cc1plus\nERROR: Failed building wheel for llama-cpp-python",
            "memory",
        ),
        ("ERROR: Failed building wheel for llama-cpp-python", "Compiling llama-cpp-python failed"),
        ("Temporary failure in name resolution", "out of reach"),
        ("ERROR: No matching distribution found for numpy==9", "package index"),
        ("ERROR: one thing.\nERROR: another thing.\n", "(another thing)"),
        ("", "it gave no reason"),
    ],
)
def test_a_failed_install_is_explained(log: str, said: str) -> None:
    sentence = reasons.why_pip_failed(log)
    assert said in sentence and "again" in sentence


def test_a_library_that_does_not_load_is_explained() -> None:
    explain = reasons.why_import_failed
    assert "another processor" in explain("llama_cpp", -signal.SIGILL, "")
    assert "libgomp1" in explain("onnxruntime", 1, "ImportError: libgomp.so.1: cannot open shared object file")
    assert "no module" in explain("llguidance", 1, "Traceback\nImportError: no module").lower()


@pytest.mark.parametrize(
    ("machine", "bits", "suits"),
    [("x86_64", 64, True), ("aarch64", 64, True), ("arm64", 64, True), ("armv7l", 32, False), ("aarch64", 32, False)],
)
def test_a_32_bit_system_is_refused(machine: str, bits: int, suits: bool) -> None:
    problem = preflight.unsuitable_machine(machine, bits)
    assert (problem == "") is suits
    assert suits or "64-bit Raspberry Pi OS" in problem


@pytest.mark.parametrize(
    ("name", "version", "suits"),
    [("glibc", "2.36", True), ("glibc", "2.31", True), ("glibc", "2.28", False), ("", "", False)],
)
def test_an_old_or_other_c_library_is_refused(name: str, version: str, suits: bool) -> None:
    assert (preflight.unsuitable_libc(name, version) == "") is suits


def test_too_little_room_is_refused_with_the_numbers(tmp_path: Path) -> None:
    assert preflight.too_little_room(str(tmp_path), 1) == ""
    assert "needs 1000000 GB" in preflight.too_little_room(str(tmp_path), 10**15)


def test_a_compiler_that_exists_but_does_not_answer_is_missing(tmp_path: Path) -> None:
    shim(tmp_path, "cc", "exit 1")
    shim(tmp_path, "c++", "exit 0")
    assert "no C++ compiler" in preflight.missing_compiler({"PATH": str(tmp_path)})
    shim(tmp_path, "cc", "exit 0")
    assert preflight.missing_compiler({"PATH": str(tmp_path)}) == ""


def test_an_owners_own_compiler_is_used(tmp_path: Path) -> None:
    compiler = str(shim(tmp_path, "my-compiler", "exit 0"))
    assert preflight.missing_compiler({"PATH": "", "CC": f"{compiler} -m64", "CXX": compiler}) == ""
    assert preflight.missing_compiler({"PATH": "", "CC": "'", "CXX": compiler}) != ""


def test_pins_name_no_registry_and_every_direct_library_has_one() -> None:
    pins = (ROOT / "constraints" / "constraints.txt").read_text()
    assert "://" not in pins and "index" not in pins
    project = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'^    "([a-z0-9-]+)[>=]', project, re.MULTILINE):
        assert re.search(rf"^{name}==", pins, re.MULTILINE), f"{name} has no pin: run scripts/lock"
    assert "torch" not in pins
