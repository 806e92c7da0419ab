"""The benchmark's numbers as a page: tables of Markdown, and what machine they are of."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from . import profile_groups

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16")


def machine(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in about.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    return {
        "processor": fields.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in fields.get("flags", "").split()],
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def page(results: Mapping[str, Any]) -> str:
    """All sections that there are."""
    about = results["machine"]
    text = [
        f"{about['processor']}, {about['cores']} cores ({', '.join(about['flags'])}), {about['threads']} threads, "
        f"torch {about['torch']}, Python {about['python']}."
    ]
    if "training" in results:
        section = results["training"]
        text += [
            f"### Training: an update of {section['batch_size']} clips, {section['size']} size",
            _contest(section["rows"], clips=section["batch_size"]),
        ]
    if "sampling" in results:
        section = results["sampling"]
        text += [
            f"### Sampling: a clip of {section['seconds']:g} s, {section['size']} size",
            _contest(section["rows"]),
        ]
    if "loss" in results:
        text += [
            f"### Losses after {results['loss']['updates']} updates, mini size",
            _losses(results["loss"]),
        ]
    if "profile" in results:
        for what, profiles in results["profile"]["tables"].items():
            text += [f"### Profile of {what}", profile_groups.markdown(profiles)]
    return "\n\n".join(text) + "\n"


def _contest(rows: list[dict[str, Any]], clips: int = 1) -> str:
    """Tables of contenders: time and memory, then work. Ratios are to the first; to other references by medians."""
    first, others = rows[0], [row for row in rows[1:] if row["name"].startswith("reference")]
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    detail = stages if len(stages) > 1 else []
    head = ["", "seconds", *(f"{stage} (s)" for stage in detail), "ratio"]
    head += [f"to {other['name'].rpartition(', ')[2]}" for other in others]
    lines = [*_header([*head, "peak memory (GB)", "ratio"])]
    for row in rows:
        cells = [
            row["name"],
            f"{row['seconds']:.2f}",
            *(f"{row['stages'].get(stage, 0.0):.2f}" for stage in detail),
            "1" if row is first else _ratio(row["ratio"]),
            *(_share(row["seconds"], other["seconds"]) for other in others),
            f"{row['peak_mb'] / 1024:.2f}",
            _share(row["peak_mb"], first["peak_mb"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    parts = list(first["counts"]["parts"])
    lines += [
        "",
        *_header(
            ["", "GFLOP a clip", "ratio", "of it U-Net, forward", "ratio", *(f"calls of {p}" for p in parts)]
        ),
    ]
    for row in rows:
        own_and_first = ((c["flops"], c["parts"]["U-Net"]["flops"]) for c in (row["counts"], first["counts"]))
        cells = [row["name"]]
        for own, reference in zip(*own_and_first, strict=True):
            cells += [f"{own / clips / 1e9:,.1f}", _share(own, reference)]
        cells += [f"{row['counts']['parts'][part]['calls']:,}" for part in parts]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _header(cells: list[str]) -> tuple[str, str]:
    return f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"


def _ratio(ratio: Mapping[str, float]) -> str:
    """A ratio with its range; small ones also as 1/n.

    >>> _ratio({"median": 0.25, "low": 0.24, "high": 0.27})
    '0.250 [0.240, 0.270]'
    >>> _ratio({"median": 0.01, "low": 0.009, "high": 0.011})
    '0.0100 [0.0090, 0.0110] (1/100)'
    """
    digits = 3 if ratio["median"] >= 0.1 else 4
    text = f"{ratio['median']:.{digits}f} [{ratio['low']:.{digits}f}, {ratio['high']:.{digits}f}]"
    return text if ratio["median"] >= 0.1 else f"{text} (1/{1 / ratio['median']:.0f})"


def _share(value: float, of: float) -> str:
    share = value / of
    return f"{share:.2f}" if share >= 0.1 else f"{share:.4f} (1/{1 / share:.0f})"


def _losses(section: Mapping[str, Any]) -> str:
    """Both procedures' losses, over seeds."""
    lines = [
        "| | reference procedure, mean ± sd over seeds | ours | difference ± standard error | within seed noise |",
        "|---" * 5 + "|",
    ]
    for what, label in (("train", "training, last third"), ("valid", "validation")):
        s = section["summary"][what]
        means, spreads = s["means"], s["spreads"]
        cells = [f"{means[name]:.4f} ± {spreads[name]:.4f}" for name in ("reference procedure", "ours")]
        lines.append(
            f"| {label} | {cells[0]} | {cells[1]} | {s['difference']:+.4f} ± {s['standard_error']:.4f} | "
            f"{'yes' if s['within_noise'] else 'no'} |"
        )
    return "\n".join(lines)
