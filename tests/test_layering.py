"""Who may import whom, held over the syntax tree; each rule is proven on a made-up bad tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("models", "peers", "hub", "runtime", "scripts", "tests")
"""Each folder imports only itself and those before it."""
HOMELESS = {"utils", "common", "helpers", "core", "manager"}
"""A function with no home is a noun not yet found."""


def test_folders_import_only_downwards() -> None:
    assert upward_imports(ROOT) == []


def test_no_package_has_a_module_cycle() -> None:
    assert cycles(ROOT) == []


def test_no_file_is_named_after_nothing() -> None:
    assert homeless_files(ROOT) == []


def test_an_init_holds_only_a_docstring() -> None:
    assert busy_inits(ROOT) == []


def upward_imports(root: Path) -> list[str]:
    """Return the imports that go up, wherever they stand: at the top, in a function, under TYPE_CHECKING."""
    found = []
    for file in python_files(root):
        floor = file.relative_to(root).parts[0]
        above = FLOORS[FLOORS.index(floor) + 1 :]
        for name, line in imports(ast.parse(file.read_text(encoding="utf-8")), module_name(file, root)):
            if name.partition(".")[0] in above:
                found.append(f"{file.relative_to(root)}:{line} imports {name}")
    return found


def cycles(root: Path) -> list[str]:
    """Return the module cycles inside packages; what only a type checker imports does not count."""
    files = {module_name(file, root): file for file in python_files(root)}
    graph: dict[str, set[str]] = {}
    for name, file in files.items():
        tree = without_type_checking(ast.parse(file.read_text(encoding="utf-8")))
        graph[name] = {
            target for imported, _ in imports(tree, name) if (target := nearest(imported, files)) and target != name
        }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def homeless_files(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for file in python_files(root) if HOMELESS & {file.stem, file.parent.name}]


def busy_inits(root: Path) -> list[str]:
    """Return the `__init__.py` files that hold more than a docstring (those of tests may be empty)."""
    busy = []
    for file in python_files(root):
        if file.name == "__init__.py":
            body = ast.parse(file.read_text(encoding="utf-8")).body
            documented = bool(body) and ast.get_docstring(ast.Module(body, [])) is not None
            empty_test = not body and file.relative_to(root).parts[0] == "tests"
            if not empty_test and not (documented and len(body) == 1):
                busy.append(str(file.relative_to(root)))
    return busy


def python_files(root: Path) -> Iterator[Path]:
    for floor in FLOORS:
        yield from sorted((root / floor).rglob("*.py"))


def module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str) -> Iterator[tuple[str, int]]:
    """Yield each imported dotted name and its line; `from a import b` yields `a.b`, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module or "") if part)
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def nearest(imported: str, files: dict[str, Path]) -> str | None:
    """Return the module that an imported name is or lives in; a mere package docstring is no module."""
    while imported and imported not in files:
        imported = imported.rpartition(".")[0]
    return imported if imported and files[imported].name != "__init__.py" else None


def without_type_checking(tree: ast.Module) -> ast.Module:
    class Strip(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            if "TYPE_CHECKING" in ast.unparse(node.test):
                return node.orelse
            return self.generic_visit(node)

    stripped = Strip().visit(tree)
    assert isinstance(stripped, ast.Module)
    return stripped


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "text",
    [
        "import runtime.node",
        "from runtime.node import Node",
        "from runtime import node",
        "from peers import ledger",
        "def late():\n    from hub.client import Hub",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from runtime.node import Node",
        "try:\n    import hub\nexcept ImportError:\n    pass",
    ],
)
def test_an_upward_import_is_found_wherever_it_hides(text: str, tmp_path: Path) -> None:
    assert upward_imports(plant(tmp_path, {"models/bad.py": text})) != []


def test_imports_downwards_and_of_libraries_pass(tmp_path: Path) -> None:
    text = "import json\nimport models.types\nfrom peers.ledger import Ledger\nfrom hub_like import x\n"
    assert upward_imports(plant(tmp_path, {"runtime/good.py": text, "tests/test_good.py": "import runtime.good"})) == []


def test_nothing_imports_a_test(tmp_path: Path) -> None:
    assert upward_imports(plant(tmp_path, {"runtime/bad.py": "from tests.fakes import Fake"})) != []


@pytest.mark.parametrize("back", ["from models.a import x", "def late():\n    import models.a", "from .a import x"])
def test_a_cycle_is_found(back: str, tmp_path: Path) -> None:
    tree = plant(
        tmp_path, {"models/a.py": "from models.b import y", "models/b.py": "from models import c", "models/c.py": back}
    )
    assert cycles(tree) != []


def test_a_cycle_of_types_alone_passes(tmp_path: Path) -> None:
    back = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from models.a import X"
    assert cycles(plant(tmp_path, {"models/a.py": "import models.b", "models/b.py": back})) == []


@pytest.mark.parametrize("name", ["models/utils.py", "runtime/core/x.py", "runtime/manager.py", "tests/helpers.py"])
def test_a_homeless_file_is_found(name: str, tmp_path: Path) -> None:
    assert homeless_files(plant(tmp_path, {name: ""})) == [name]


@pytest.mark.parametrize("text", ["", "import json", '"""Doc."""\nfrom models.types import Json'])
def test_a_busy_init_is_found(text: str, tmp_path: Path) -> None:
    assert busy_inits(plant(tmp_path, {"models/__init__.py": text})) == ["models/__init__.py"]
