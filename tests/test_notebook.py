"""The notebook runs as it stands, in a kernel of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient


def outputs(cells: list[Any], kind: str) -> list[str]:
    """What cells show, of one kind."""
    shown = (output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    return [data[kind] for data in shown if kind in data]


def test_it_is_stored_without_what_it_prints(repository: Path) -> None:
    notebook = nbformat.read(repository / "notebooks" / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_it_makes_music_shows_and_scores_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("MPLBACKEND")  # of the other tests: pictures would not be shown
    notebook = nbformat.read(repository / "notebooks" / "quickstart.ipynb", as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    assert len(outputs(notebook.cells, "image/png")) == 2
    (sound,) = (html for html in outputs(notebook.cells, "text/html") if "<audio" in html)
    assert len(sound) > 100_000  # eight seconds of it
    text = "".join(
        output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    )
    scores = {
        line.split("  ")[0]: [float(x) for x in line.split()[-3:]]
        for line in text.splitlines()
        if line[-1:].isdigit()
    }
    assert scores["model"][0] > scores["a click"][0] + 0.3
    assert scores["the reference"][0] == 1
    assert list(tmp_path.glob("quickstart-*/dance_with_music.mp4"))
