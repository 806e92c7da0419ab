"""The accelerator benchmark in tiny form, and what a failed or late row leaves."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.accelerator import BEGIN, END, Job, insert, main, measure

CPU = torch.device("cpu")


def test_every_row_in_tiny_form(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\nold numbers\n{END}\nafter\n")
    main(["--tiny", "-o", str(tmp_path)])
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n") and "old numbers" not in page
    results = json.loads((tmp_path / "accelerator.json").read_text())
    assert [row for row in results["rows"] if "failed" in row] == []
    training = {
        (row["size"], row["procedure"]): row for row in results["rows"] if row["section"] == "training"
    }
    assert {size for size, _ in training} == {"paper", "ours", "real", "bundled"}
    published, ours = training["paper", "published"], training["paper", "float32"]
    assert published["flops"] > ours["flops"] == training["paper", "bfloat16"]["flops"] > 0
    assert "| paper, published procedure, float32 | 2 |" in page and "| I3D, windows" in page
    # A resumed run measures what is missing.
    results["rows"] = [row for row in results["rows"] if row["section"] != "limits"]
    (tmp_path / "accelerator.json").write_text(json.dumps(results))
    main(["--tiny", "--resume", "-o", str(tmp_path)])
    rows = json.loads((tmp_path / "accelerator.json").read_text())["rows"]
    assert rows[:-3] == results["rows"] and {row["section"] for row in rows[-3:]} == {"limits"}
    # The page of a stored run is the same.
    page = (tmp_path / "README.md").read_text()
    other = tmp_path / "other"
    other.mkdir()
    main(["--from", str(tmp_path / "accelerator.json"), "-o", str(other)])
    assert (other / "README.md").read_text().split(BEGIN)[1].split(END)[0] in page


def test_a_failed_row_does_not_end_the_run() -> None:
    def fail() -> dict[str, Any]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    def hang() -> dict[str, Any]:
        time.sleep(5)
        return {}

    rows: list[dict[str, Any]] = []
    todo = [
        Job("training", "fails", fail),
        Job("training", "hangs", hang, most=0.1),
        Job("training", "works", lambda: {"seconds": 1.0}),
    ]
    measure(todo, time.monotonic() + 60, rows.append, CPU)
    measure(todo[-1:], time.monotonic(), rows.append, CPU)
    assert [row.get("failed") for row in rows] == [
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        "not finished in 0 s",
        None,
        "no time left",
    ]
    assert rows[2]["seconds"] == 1.0


def test_a_page_without_markers_gets_a_section(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Title\n")
    for text in ("first", "second"):
        insert(page, text)
    assert page.read_text() == f"# Title\n\n## On a GPU\n\n{BEGIN}\nsecond\n\n{END}\n"
