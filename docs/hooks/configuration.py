"""The page of the configuration: every key of config/, its default, and the comment that stands beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

CONFIG = Path(__file__).resolve().parents[2] / "config"
_HEAD = """# Configuration

Made from the comments in `config/`, a [Hydra](https://hydra.cc) tree. A key is given on the command line by its whole
name: `dora run solver=pn_diffusion negative.alpha=0.9`. `solver=NAME` takes `config/solver/NAME.yaml`, and `dset=NAME`
`config/dset/NAME.yaml`; a recipe takes what it does not say itself from `solver/default`, the model file it names, and
`config.yaml`. `dora run solver=… show=true` shows what came out and stops.

"""
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?: +(?P<value>[^#\s].*?))?(?: +# (?P<comment>.*))?")
_MORE = re.compile(r" +# (?P<comment>.*)")
_FIRST = ("config.yaml", "solver/pn_diffusion.yaml", "solver/default.yaml", "conditioner/dance.yaml")


@dataclass
class Key:
    """A key with its whole name, its default as it is written, and what its comment says."""

    name: str
    value: str
    comment: str


def on_files(files: Files, config: Any, **kwargs: Any) -> Files:
    """MkDocs calls this with the files of the site."""
    files.append(File.generated(config, "reference/configuration.md", content=_HEAD + "\n".join(page())))
    return files


def page() -> Iterator[str]:
    """Lines of Markdown: a table for each file, with what its comments say of the file above it."""
    found = {path.relative_to(CONFIG).as_posix(): path.read_text() for path in CONFIG.rglob("*.yaml")}
    names = [*_FIRST, *sorted(set(found) - set(_FIRST))]
    tables = {name: list(keys(found[name])) for name in names}
    told = {key.name: key.comment for table in reversed(tables.values()) for key in table if key.comment}
    for name in names:
        yield f"## {name.removesuffix('.yaml')}\n"
        yield f"`config/{name}`. {' '.join(about(found[name]))}\n"
        yield "| key | default | |\n|---|---|---|"
        for key in tables[name]:
            if key.name == "defaults" or not (key.value or key.comment):
                continue  # Hydra's, and sections without a word of their own
            value = f"`{key.value}`" if key.value else ""
            yield f"| `{key.name}` | {_cell(value)} | {_cell(key.comment or told.get(key.name, ''))} |"
        yield ""


def about(text: str) -> Iterator[str]:
    """What the comments at a file's head say."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith("# @"):  # a directive for Hydra
            yield line.removeprefix("# ")


def keys(text: str) -> Iterator[Key]:
    """The keys of a YAML file as this project writes them: a key a line, lists beneath one by one."""
    text = re.sub(r"\A(#.*\n)*", "", text)  # about the file, see `about`
    above: list[tuple[int, str]] = []  # indentation and name of the keys around
    last: Key | None = None
    before: list[str] = []  # lines of comment above a key
    for line in text.splitlines():
        item = line.strip()
        if item.startswith("# ") and not line.startswith(" "):
            before.append(item[2:])
        elif item.startswith("- ") and last is not None:
            value, _, comment = item[2:].partition(" #")
            last.value = ", ".join(filter(None, [last.value, value.strip()]))
            last.comment = "; ".join(filter(None, [last.comment, comment.strip()]))
        elif (more := _MORE.fullmatch(line)) and last is not None:
            last.comment += " " + more["comment"]
        elif match := _KEY.fullmatch(line):
            if last is not None:
                yield last
            indent = len(match["indent"])
            above = [(deep, name) for deep, name in above if deep < indent]
            name = ".".join([*(name for _, name in above), match["key"]])
            above.append((indent, match["key"]))
            last = Key(name, match["value"] or "", match["comment"] or " ".join(before))
            before = []
    if last is not None:
        yield last


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
