"""The pages of the Python reference: one for each part of the package, with all its public modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = "pn_diffusion_plugin"
#: What a reader looks for first stands first.
_FIRST = {
    "models": ["pn_diffusion", "generation_params", "pretrained", "musicgen.dance_musicgen"],
    "data": ["features.feature_file", "features.extraction", "condition", "dataset"],
    "metrics": ["beats", "dance", "evaluate", "corpus"],
}


def on_files(files: Files, config: Any, **kwargs: Any) -> Files:
    """MkDocs calls this with the files of the site."""
    for part, modules in parts().items():
        name = "package" if part == _PACKAGE else part.removeprefix(f"{_PACKAGE}.")
        lines = [f"# {part}", "", *(f"::: {module}\n" for module in modules)]
        content = "\n".join(lines)
        files.append(File.generated(config, f"reference/api/{name}.md", content=content))
    return files


def parts() -> dict[str, list[str]]:
    """Every part of the package to the names of its public modules, subpackages' too."""
    found: dict[str, list[str]] = {}
    for path in sorted((_ROOT / _PACKAGE).rglob("*.py")):
        names = path.relative_to(_ROOT).with_suffix("").parts
        if names[1] in ("commands", "cli") or any(name.startswith("_") for name in names[1:]):
            continue  # the commands have a page of their own
        part = _PACKAGE if len(names) == 2 else ".".join(names[:2])
        found.setdefault(part, []).append(".".join(names))
    for name, first in _FIRST.items():
        modules = found[f"{_PACKAGE}.{name}"]
        order = {f"{_PACKAGE}.{name}.{module}": place for place, module in enumerate(first)}
        modules.sort(key=lambda module: order.get(module, len(order)))
    return found
