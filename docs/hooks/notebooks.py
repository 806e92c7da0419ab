"""A page of the notebook, without what its cells print, and the notebook itself to download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "quickstart.ipynb"


def on_files(files: Files, config: Any, **kwargs: Any) -> Files:
    """MkDocs calls this with the files of the site."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    files.append(File.generated(config, f"start/{NOTEBOOK.name}", content=text))
    page = [f"[Download this page as a notebook]({NOTEBOOK.name})"]
    title, *cells = json.loads(text)["cells"]
    for cell in cells:
        source = "".join(cell["source"])
        page.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    content = "\n\n".join(["".join(title["source"]), *page])
    files.append(File.generated(config, "start/quickstart.md", content=content))
    return files
