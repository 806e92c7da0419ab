"""The parts a page is put together from, and the two forms it takes: one HTML file, and Markdown with its files.

Blocks hold plain text, never markup: labels and commands are escaped on output.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import jinja2

from ...utils.files import atomic_path

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Text:
    """A paragraph; `strong` for warnings."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells (rows, columns); the first column names the row.

    `kinds` says of each row how it is shown: "system", "bound" (what can be reached) or "null".
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    kinds: Sequence[str] = ()

    def kind(self, row: int) -> str:
        """Kind of a row; "system" where none is given."""
        return self.kinds[row] if row < len(self.kinds) else "system"


@dataclass(frozen=True)
class Figure:
    """A PNG with what it shows, in words."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Player:
    """Players (label → MP3) beside the muted video they belong to, if there is one."""

    name: str
    sounds: dict[str, bytes]
    video: bytes | None = None


@dataclass(frozen=True)
class Code:
    """Commands or a file's content; with a `summary` it is folded away under it."""

    text: str
    summary: str = ""


Block = Text | Points | Table | Figure | Player | Code


@dataclass
class Section:
    """A heading with its blocks; level 2 or 3."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    level: int = 2


@dataclass
class Page:
    """A whole report."""

    title: str
    sections: list[Section] = field(default_factory=list)


def environment() -> jinja2.Environment:
    """Templates of this package; everything put into them is escaped."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    env.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return env


def render_html(page: Page) -> str:
    """The page as one self-contained HTML file without external resources."""
    return environment().get_template("report.html").render(page=page)


def write_page(page: Page, path: Path) -> tuple[Path, Path]:
    """Write `path` (HTML) and the same as .md beside it, with images and sounds in `<stem>_files/`.

    Returns:
        Both files.
    """
    markdown = path.with_suffix(".md")
    text = _markdown(page, _Files(path.with_name(f"{path.stem}_files")))
    with atomic_path(path) as temporary:
        temporary.write_text(render_html(page), encoding="utf-8")
    with atomic_path(markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path, markdown


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown shows it literally, also in a table.

    >>> escape_markdown("a|b <b> *x*")
    'a\\\\|b &lt;b&gt; \\\\*x\\\\*'
    """
    one_line = " ".join(text.split())
    return html.escape(re.sub(r"([\\`*|#~]|\](?=[(\[:]))", r"\\\1", one_line), quote=False)


class _Files:
    """Files beside a Markdown page, each under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def link(self, stem: str, suffix: str, data: bytes) -> str:
        """Write `data` and give the link to it."""
        safe = re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "file"
        name, number = f"{safe}{suffix}", 1
        while name.lower() in self.names:
            number += 1
            name = f"{safe}-{number}{suffix}"
        self.names.add(name.lower())
        with atomic_path(self.folder / name) as temporary:
            temporary.write_bytes(data)
        return f"{quote(self.folder.name)}/{quote(name)}"


def _markdown(page: Page, files: _Files) -> str:
    parts = [f"# {escape_markdown(page.title)}"]
    for section in page.sections:
        parts.append(f"{'#' * section.level} {escape_markdown(section.title)}")
        parts += [_markdown_block(block, files) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block, files: _Files) -> str:
    match block:
        case Text():
            text = escape_markdown(block.text)
            return f"**{text}**" if block.strong else text
        case Points():
            return "\n".join(f"- {escape_markdown(line)}" for line in block.lines)
        case Table():
            rows = [[escape_markdown(cell) for cell in row] for row in (block.header, *block.rows)]
            rows.insert(1, ["---"] * len(block.header))
            return "\n".join("| " + " | ".join(row) + " |" for row in rows)
        case Figure():
            return f"![{escape_markdown(block.caption)}]({files.link(block.name, '.png', block.png)})"
        case Player():
            links = [("the dance, without sound", ".mp4", block.video)] if block.video else []
            links += [(label, ".mp3", mp3) for label, mp3 in block.sounds.items()]
            players = (
                f"[{escape_markdown(label)}]({files.link(f'{block.name}_{label}', suffix, data)})"
                for label, suffix, data in links
            )
            return f"{escape_markdown(block.name)}: " + ", ".join(players)
        case Code():
            longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
            fence = "`" * max(3, longest + 1)
            code = f"{fence}\n{block.text.rstrip()}\n{fence}"
            if not block.summary:
                return code
            return f"<details><summary>{html.escape(block.summary)}</summary>\n\n{code}\n\n</details>"
