"""The documentation builds without a warning, wants nothing from the network, leaves nothing out, and its code runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SLOW = {"start/creators.md"}  # watches a video


def with_code() -> Iterator[Any]:
    """Pages that show Python."""
    for page in PAGES:
        if BLOCK.search(page.read_text()):
            name = page.relative_to(DOCS).as_posix()
            yield pytest.param(page, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


class Fetched(HTMLParser):
    """What a browser fetches for a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "srcset", "data") or (tag == "link" and name == "href"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it; a warning, such as a link to nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def hooks() -> Iterator[ModuleType]:
    """The program that makes the configuration's page."""
    sys.path.insert(0, str(DOCS / "hooks"))
    import configuration

    yield configuration
    sys.path.remove(str(DOCS / "hooks"))


def read(site: Path, page: str) -> Fetched:
    return Fetched((site / page).read_text(encoding="utf-8"))


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    outside = {
        f"{page.name}: {address}"
        for page in pages
        for address in Fetched(page.read_text(encoding="utf-8")).addresses
        if address.startswith(("http:", "https:", "//"))
    }
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert outside == set()
    assert not re.search(r"@import|url\(['\"]?(https?:)?//", styles)


def test_equations_need_no_program(site: Path) -> None:
    html = (site / "method.html").read_text(encoding="utf-8")
    assert html.count("<math") > 40
    for page in site.rglob("*.html"):
        assert "arithmatex" not in page.read_text(encoding="utf-8"), page


def test_every_command_and_option_is_told(site: Path) -> None:
    from typer.main import get_command

    from pn_diffusion_plugin.cli import app

    text = read(site, "reference/commands.html").text

    def check(command: Any, name: str) -> None:
        assert name in text
        for parameter in command.params:
            assert all(option in text for option in parameter.opts if option.startswith("--"))
        for inner, nested in getattr(command, "commands", {}).items():
            check(nested, f"{name} {inner}")

    check(get_command(app), "pn-diffusion")


def written_keys(node: yaml.Node, above: str = "") -> Iterator[str]:
    """Names of the keys that stand on lines of their own, as YAML itself reads them."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for key, value in node.value:
            yield f"{above}{key.value}"
            if value.start_mark.index > key.end_mark.index:  # an alias stands elsewhere
                yield from written_keys(value, f"{above}{key.value}.")


def test_every_key_of_the_configuration_is_told(site: Path, hooks: ModuleType) -> None:
    text = read(site, "reference/configuration.html").text
    for path in sorted((ROOT / "config").rglob("*.yaml")):
        keys = list(hooks.keys(path.read_text()))
        assert [key.name for key in keys] == list(written_keys(yaml.compose(path.read_text()))), path
        assert all(key.name in text for key in keys if key.value and key.name != "defaults")
    assert "weight of the positive stream (the paper: less than 1)" in text
    assert "null: anywhere" in text  # the second line of a comment


def test_comments_of_a_file_become_its_page(hooks: ModuleType) -> None:
    text = """# @package __global__
# About the file.
first: 1      # its comment
              # goes on

# About the section.
section:
  deep: null  # null | 2
  list:
    - a       # of a
    - b
"""
    assert list(hooks.about(text)) == ["About the file."]
    assert [(key.name, key.value, key.comment) for key in hooks.keys(text)] == [
        ("first", "1", "its comment goes on"),
        ("section", "", "About the section."),
        ("section.deep", "null", "null | 2"),
        ("section.list", "a, b", "of a"),
    ]


def test_every_module_has_its_place_in_the_reference(site: Path) -> None:
    pages = (site / "reference" / "api").glob("*.html")
    html = "".join(page.read_text(encoding="utf-8") for page in pages)
    package = ROOT / "pn_diffusion_plugin"
    for path in package.rglob("*.py"):
        names = path.relative_to(ROOT).with_suffix("").parts
        if names[1] not in ("commands", "cli") and not any(name.startswith("_") for name in names[1:]):
            assert f'id="{".".join(names)}"' in html
    assert "<p>&gt;&gt;&gt;" not in html and "<blockquote>" not in html  # doctests are code


@pytest.mark.parametrize("page", list(with_code()))
def test_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks one after the other, in a folder with the files that the pages speak of."""
    from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
    from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
    from pn_diffusion_plugin.data.corpora.synthetic.mini.features import unpack_features
    from pn_diffusion_plugin.data.features.feature_file import save_features

    text = page.read_text()
    if "clip.safetensors" in text:
        save_features(tmp_path / "clip.safetensors", next(iter(unpack_features().values())))
    if "dance.mp4" in text:
        write_clip_video(MiniSpec(seconds=5.6, size=128).plan("test", 0), tmp_path).rename(
            tmp_path / "dance.mp4"
        )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCK.findall(text):
        exec(compile(block, str(page), "exec"), names)
