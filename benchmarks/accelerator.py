"""Checks and measurements on a machine with a GPU, written into benchmarks/README.md.

    python benchmarks/accelerator.py --minutes 8     # the published sizes on a GPU
    python benchmarks/accelerator.py --tiny          # every row in tiny form, on a CPU too: outputs/accelerator

Rows are measured in order of importance and written as they come; the run stops after `--minutes`. A row that fails
(out of memory, for example) gives its reason, and the run goes on. Needs torch, diffusers, Hydra and einops, but
neither audiocraft nor PyAV.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()
HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- accelerator.py: begin -->", "<!-- accelerator.py: end -->"
TRAINING = (
    "Training steps on noise, without data loading; median after warm-up. `float32` is torch's default, with TF32 in "
    "convolutions but not in matrix products; `TF32` has both; `bfloat16` is autocast. The published procedure "
    "(`procedure_training.py`) encodes the music in every step; the others start from latents."
)
SAMPLING = (
    "Sampling a clip, from dance encoder to decoder; the time of the published procedure is extrapolated from the "
    "steps that were run to 1000. The vocoder's time comes on top."
)


class OutOfTime(BaseException):
    """Raised inside a row when the run's time is over; no `except Exception` catches it."""


@dataclass(frozen=True)
class Job:
    """One row.

    Attributes:
        section: list of the results that the row belongs to.
        name: for the log and for failures.
        work: returns the row.
        most: seconds after which it is given up.
    """

    section: str
    name: str
    work: Callable[[], dict[str, Any]]
    most: float = math.inf


def jobs(device: Any, tiny: bool) -> list[Job]:
    """All rows, the most important first."""
    from benchmarks import accelerator_rows as rows

    flops: dict[str, int] = {}

    def check(name: str) -> Job:
        return Job("checks", name, lambda: {"result": rows.CHECKS[name](device, tiny)})

    def limit(name: str) -> Job:
        return Job("limits", name, partial(rows.limit_row, name, device, tiny))

    def training(size: str, procedure: str, clips: int | None = None, most: float = math.inf) -> Job:
        name = f"{size}, {procedure}{f', {clips} clips' if clips else ''}"
        work = partial(rows.training_row, size, procedure, device, tiny, clips, flops)
        return Job("training", name, work, most)

    def sampling(size: str, steps: int, precision: str, clips: int = 1) -> Job:
        name = f"{size}, {steps} steps, {precision}, {clips} at once"
        return Job("sampling", name, partial(rows.sampling_row, device, tiny, size, steps, precision, clips))

    def extraction(precision: str, windows: int) -> Job:
        name = f"I3D, {precision}, {windows} windows"
        return Job("extraction", name, partial(rows.extraction_row, device, tiny, precision, windows))

    published_clip = partial(rows.published_sampling_row, device, tiny, 2 if tiny else 20)
    compiled, graphs = "bfloat16, compiled", "bfloat16, compiled, CUDA graphs"
    todo = [
        limit("bfloat16"),
        limit("launch"),
        training("paper", "published"),
        training("paper", "bfloat16"),
        training("paper", "float32"),
        training("paper", compiled, most=75),
        training("paper", graphs, most=60),
        *(training(size, "bfloat16") for size in ("ours", "real", "bundled")),
        training("bundled", graphs, most=60),
        Job("sampling", "published procedure", published_clip),
        sampling("paper", 4, "bfloat16"),
        extraction("float32", 32),
        check("float16 gradient scaler"),
        check("bfloat16 autocast"),
        limit("copy"),
        check("process group of one rank"),
    ]
    if tiny:
        return [job for job in todo if "compiled" not in job.name]
    return [
        *todo,
        sampling("paper", 20, "bfloat16"),
        extraction("float16", 32),
        *(training(size, "float32") for size in ("ours", "real", "bundled")),
        check("torch.compile"),
        training("bundled", "bfloat16", clips=512),
        extraction("float16", 1),
        sampling("ours", 20, "bfloat16"),
        sampling("paper", 20, "float32"),
        sampling("paper", 4, "bfloat16", clips=16),
        limit("TF32"),
        limit("float32"),
        training("paper", "TF32"),
        *(training(size, graphs) for size in ("ours", "real")),
        *(training(size, compiled) for size in ("bundled", "ours", "real")),
    ]


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block after so many seconds, where the system has timers (not on Windows)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(
    todo: Sequence[Job], deadline: float, finished: Callable[[dict[str, Any]], None], device: Any
) -> None:
    """Run the jobs until `deadline` (of `time.monotonic`); `finished` gets each row, failed ones too."""
    from benchmarks.accelerator_rows import free

    for job in todo:
        left = deadline - time.monotonic()
        limit = min(left, job.most)
        row: dict[str, Any]
        if left < 1:
            row = {"failed": "no time left"}
        else:
            try:
                with time_limit(limit):
                    row = job.work()
            except OutOfTime:
                row = {"failed": f"not finished in {limit:.0f} s"}
            except Exception as error:
                lines = str(error).strip().splitlines()
                row = {"failed": f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]}
            free(device)
        took = time.monotonic() - deadline + left
        finished({"section": job.section, "job": job.name, **row, "took": round(took, 1)})


def machine(device: Any) -> dict[str, Any]:
    """What the numbers depend on."""
    import torch

    found: dict[str, Any] = {
        "card": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found |= {
            "card": about.name,
            "memory_gb": round(about.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def number(value: float | None) -> str:
    """Three significant digits without an exponent; nothing for None.

    >>> number(1234.5), number(0.012345), number(None)
    ('1,234', '0.0123', '')
    """
    if not value:
        return "" if value is None else "0"
    return f"{value:,.{max(2 - math.floor(math.log10(abs(value))), 0)}f}"


def report(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    from benchmarks.common import table

    about, rows = results["machine"], results["rows"]

    def of(section: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["section"] == section and "failed" not in row]

    versions = [f"torch {about['torch']}", f"Python {about['python']}"]
    versions += [
        f"{name} {about[key]}" for name, key in (("CUDA", "cuda"), ("cuDNN", "cudnn")) if key in about
    ]
    memory = f" ({about['memory_gb']:g} GB)" if "memory_gb" in about else ""
    text = [
        f"`{results['command']}`, {about['date']}: {about['card']}{memory}, {about['cores']} processor cores, "
        f"{', '.join(versions)}."
        + (" **Tiny models: these numbers mean nothing.**" if results["tiny"] else "")
    ]
    limits = {row["name"]: row for row in of("limits")}
    measured = [
        f"{name} {row['flops_per_second'] / 1e12:.3g} TFLOP/s"
        for name, row in limits.items()
        if "flops_per_second" in row
    ]
    if "copy" in limits:
        measured.append(f"copy, read and written, {limits['copy']['bytes_per_second'] / 1e12:.3g} TB/s")
    if "launch" in limits:
        measured.append(f"launch of a kernel {limits['launch']['launch_seconds'] * 1e6:.3g} µs")
    if measured:
        text.append(f"Measured limits (product of random 8192 × 8192 matrices): {'; '.join(measured)}.")
    if training := of("training"):
        text += [TRAINING, training_table(training, limits.get("bfloat16", {}).get("flops_per_second"))]
    if sampling := of("sampling"):
        first = next((row["seconds"] for row in sampling if row["name"].startswith("published")), None)
        head = ["sampling", "clips at once", "ms a clip", "times as fast", "vocoder (ms)", "peak memory (GB)"]
        cells = [
            [row["name"], str(row["clips"]), number(1000 * row["seconds"])]
            + [
                number(first and first / row["seconds"]),
                number(1000 * row["inversion"] if "inversion" in row else None),
            ]
            + [number(row["peak_gb"])]
            for row in sampling
        ]
        text += [SAMPLING, table(head, cells)]
    if extraction := of("extraction"):
        cells = [
            [row["precision"], str(row["windows"]), number(row["frames_per_second"]), number(row["peak_gb"])]
            for row in extraction
        ]
        text.append(table(["I3D, windows of 16 frames", "at once", "frames/s", "peak memory (GB)"], cells))
    if checks := [row for row in rows if row["section"] == "checks"]:
        cells = [[row["job"], f"ok: {row['result']}" if "result" in row else row["failed"]] for row in checks]
        text.append(table(["check", "result"], cells))
    if failed := [row for row in rows if "failed" in row and row["section"] != "checks"]:
        cells = [[f"{row['section']}: {row['job']}", row["failed"].replace("|", "/")] for row in failed]
        text.append(table(["not measured", "reason"], cells))
    return "\n\n".join(text)


def training_table(rows: list[dict[str, Any]], peak: float | None) -> str:
    """Training steps by size; `peak`: FLOP/s of the bfloat16 matrix product."""
    from benchmarks.common import table

    published = next((row for row in rows if row["procedure"] == "published"), None)
    order = ("paper", "ours", "real", "bundled")
    cells = []
    for row in sorted(rows, key=lambda row: (order.index(row["size"]), row["procedure"] != "published")):
        rate = row["clips"] / row["seconds"]
        times = None if published is None else rate * published["seconds"] / published["clips"]
        cells.append(
            [
                f"{row['size']}, {'published procedure, float32' if row is published else row['procedure']}",
                str(row["clips"]),
                number(1000 * row["seconds"]),
                number(rate),
                number(times),
                number(row["flops"] / 1e9),
                "" if peak is None else f"{100 * rate * row['flops'] / peak:.1f} %",
                number(row["peak_gb"]),
                number(row["first"]),
            ]
        )
    head = ["training", "clips", "ms a step", "clips/s", "times as fast", "GFLOP a clip"]
    return table([*head, "of the bfloat16 limit", "peak memory (GB)", "first step (s)"], cells)


def insert(path: Path, text: str) -> None:
    """Replace what stands between the two markers of a Markdown file, or append a section with them."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN not in page or END not in page:
        page += f"\n## On a GPU\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write `accelerator.json` and the section of README.md after every row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8, help="stop after so many, imports included")
    parser.add_argument("--tiny", action="store_true", help="tiny models, also on a CPU")
    parser.add_argument("--device", help="default: cuda; with --tiny cpu")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of accelerator.json that this card has"
    )
    parser.add_argument(
        "--from", type=Path, dest="stored", metavar="JSON", help="write the page of a stored run"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder; default: benchmarks, with --tiny outputs/accelerator"
    )
    args = parser.parse_args(arguments)
    began = BEGAN if arguments is None else time.monotonic()
    sys.path.insert(0, str(HERE.parent))
    if args.stored:
        insert((args.output or HERE) / "README.md", report(json.loads(args.stored.read_text())))
        return

    import torch

    device = torch.device(args.device or ("cpu" if args.tiny else "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device: run with --tiny, or on a machine with a GPU")
    output = args.output or (HERE.parent / "outputs" / "accelerator" if args.tiny else HERE)
    output.mkdir(parents=True, exist_ok=True)
    command = " ".join(
        ["python benchmarks/accelerator.py", *(sys.argv[1:] if arguments is None else arguments)]
    )
    results: dict[str, Any] = {"command": command, "tiny": args.tiny, "machine": machine(device), "rows": []}
    path = output / "accelerator.json"
    if args.resume and path.exists():
        stored = json.loads(path.read_text())
        if all(stored["machine"][key] == results["machine"][key] for key in ("card", "torch")):
            results["rows"] = [row for row in stored["rows"] if "failed" not in row]
            results["command"] = f"{stored['command']}`, `{command}"

    def finished(row: dict[str, Any]) -> None:
        results["rows"].append(row)
        path.write_text(json.dumps(results, indent=1) + "\n")
        insert(output / "README.md", report(results))
        values = {key: value for key, value in row.items() if key not in ("section", "job", "name")}
        passed = time.monotonic() - began
        print(f"{passed:6.1f} s  {row['section']}: {row['job']}: {json.dumps(values)}", flush=True)

    done = {(row["section"], row["job"]) for row in results["rows"]}
    todo = [job for job in jobs(device, args.tiny) if (job.section, job.name) not in done]
    print(f"{time.monotonic() - began:6.1f} s  imported; {len(todo)} rows", flush=True)
    measure(todo, began + 60 * args.minutes, finished, device)


if __name__ == "__main__":
    main()
