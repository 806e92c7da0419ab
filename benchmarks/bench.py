"""The published procedure against ours, side by side: `make bench`.

    python -m benchmarks.bench                      # the published size: about half an hour on two cores
    python -m benchmarks.bench --quick              # the mini size, nothing compiled: minutes
    python -m benchmarks.bench --only training      # one section; the other keeps its last results

All contenders are built from this package (the published procedure: `procedure_*.py`) and take turns, each in its own
process; ratios are taken round by round. Writes `results.json` and `results.md` to outputs/bench/SIZE.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.utils.files import atomic_path, write_json

from . import bench_sampling, bench_training
from .common import command_line, table
from .configs import ARCHITECTURE, composed
from .contenders import alternate

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16")


def machine(threads: int) -> str:
    """What the numbers depend on, as a sentence."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in about.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = ", ".join(flag for flag in FLAGS if flag in fields.get("flags", "").split())
    return (
        f"{fields.get('model name', platform.processor())}, {os.cpu_count()} cores ({flags}), {threads} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}."
    )


def page(results: Mapping[str, Any]) -> str:
    """The sections as Markdown."""
    text = [results["machine"]]
    if section := results.get("training"):
        text.append(f"### Training: an update of {section['clips']} clips, {section['size']} size")
        text += contest(section["rows"], section["clips"])
    if section := results.get("sampling"):
        text.append(f"### Sampling: a clip of {section['seconds']:g} s, {section['size']} size")
        text += contest(section["rows"])
    return "\n\n".join(text) + "\n"


def contest(rows: list[dict[str, Any]], clips: int = 1) -> list[str]:
    """Tables of contenders: time and memory, then FLOPs and calls. Ratios are to the first row; those to other rows of
    the published procedure are ratios of medians."""
    first, others = rows[0], [row for row in rows[1:] if row["name"].startswith("reference")]
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    stages = stages if len(stages) > 1 else []
    parts = list(first["counts"]["parts"])
    times, works = [], []
    for row in rows:
        times.append(
            [
                row["name"],
                f"{row['seconds']:.2f}",
                *(f"{row['stages'].get(stage, 0.0):.2f}" for stage in stages),
                "1" if row is first else ratio(row["ratio"]),
                *(share(row["seconds"], other["seconds"]) for other in others),
                f"{row['peak_mb'] / 1024:.2f}",
                share(row["peak_mb"], first["peak_mb"]),
            ]
        )
        work = [row["name"]]
        for get in (lambda c: c["flops"], lambda c: c["parts"]["U-Net"]["flops"]):
            own, reference = get(row["counts"]), get(first["counts"])
            work += [f"{own / clips / 1e9:,.1f}", share(own, reference)]
        works.append([*work, *(f"{row['counts']['parts'][part]['calls']:,}" for part in parts)])
    head = ["", "seconds", *(f"{stage} (s)" for stage in stages), "ratio"]
    head += [f"to {other['name'].rpartition(', ')[2]}" for other in others]
    counted = [
        "",
        "GFLOP a clip",
        "ratio",
        "of it U-Net, forward",
        "ratio",
        *(f"calls of {p}" for p in parts),
    ]
    return [table([*head, "peak memory (GB)", "ratio"], times), table(counted, works)]


def ratio(value: Mapping[str, float]) -> str:
    """A ratio with its range; small ones also as 1/n.

    >>> ratio({"median": 0.25, "low": 0.24, "high": 0.27})
    '0.250 [0.240, 0.270]'
    >>> ratio({"median": 0.01, "low": 0.009, "high": 0.011})
    '0.0100 [0.0090, 0.0110] (1/100)'
    """
    digits = 3 if value["median"] >= 0.1 else 4
    text = f"{value['median']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    return text if value["median"] >= 0.1 else f"{text} (1/{1 / value['median']:.0f})"


def share(value: float, of: float) -> str:
    """A quotient; small ones also as 1/n."""
    quotient = value / of
    return f"{quotient:.2f}" if quotient >= 0.1 else f"{quotient:.4f} (1/{1 / quotient:.0f})"


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("--quick", action="store_true", help="the mini size, nothing compiled")
    parser.add_argument("--only", choices=("training", "sampling"), help="this section")
    parser.add_argument("--rounds", type=int, default=5, help="of every contender")
    parser.add_argument("--batch-size", type=int, default=4, help="clips of a training update")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled rows")
    parser.add_argument("-o", "--output", type=Path, help="folder; default: outputs/bench/SIZE")
    args = parser.parse_args()
    size = "mini" if args.quick else "paper"
    compiled = not (args.no_compile or args.quick)
    folder = (args.output or paths.outputs_dir() / "bench" / size).resolve()
    path = folder / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["machine"] = machine(args.threads)
    for section in [args.only] if args.only else ["training", "sampling"]:
        print(f"== {section}", flush=True)
        if section == "training":
            contenders = bench_training.contenders(size, folder, args.batch_size, compiled)
            about: dict[str, Any] = {"clips": args.batch_size}
        else:
            contenders = bench_sampling.contenders(size, compiled)
            about = {"seconds": composed(ARCHITECTURE[size])["segment_seconds"]}
        rows = alternate(contenders, rounds=args.rounds, threads=args.threads)
        results[section] = {"size": size, **about, "rows": rows}
        write_json(path, results)
        with atomic_path(folder / "results.md") as temporary:
            temporary.write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
