"""The package's import graph: no cycle, and one direction between its parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = "pn_diffusion_plugin"
ANYWHERE = {"errors", "paths", "sequence", "utils", "_compat"}
ALLOWED = {
    "utils": {"errors"},
    "data": ANYWHERE,
    "modules": ANYWHERE | {"data"},
    "metrics": ANYWHERE | {"data"},
    "models": ANYWHERE | {"data", "modules"},
    "solvers": ANYWHERE | {"data", "metrics", "models", "modules"},
    "train": ANYWHERE | {"data", "solvers"},
    "apps": ANYWHERE | {"data", "metrics", "models", "modules", "solvers", "train"},
}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """Imports from within the package that run, those inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            assert (child.module or "").split(".")[0] != PACKAGE, "relative imports inside the package"
            if child.level:
                yield child
        elif not is_type_checking(child):
            yield from imports(child)


def graph(root: Path) -> dict[str, set[str]]:
    """Module → modules of the package that it imports."""
    files = {".".join(p.relative_to(root).with_suffix("").parts): p for p in root.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in files.items() if name != "__init__"}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        found[name] = set()
        for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                target = next((t for t in (".".join([*base, alias.name]), ".".join(base)) if t in names), "")
                if target:
                    found[name].add(target)
    return found


def test_no_cycles(repository: Path) -> None:
    modules = graph(repository / PACKAGE)
    assert len(modules) > 50
    TopologicalSorter(modules).prepare()  # raises CycleError with the modules of a cycle


def test_parts_import_in_one_direction(repository: Path) -> None:
    wrong = [
        f"{module} imports {target}"
        for module, targets in graph(repository / PACKAGE).items()
        for target in targets
        if (part := module.split(".")[0]) in ALLOWED and target.split(".")[0] not in ALLOWED[part] | {part}
    ]
    assert wrong == []
