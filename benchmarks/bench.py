"""The published procedure against ours, side by side: `make bench`.

    python -m benchmarks.bench                      # the published size: under half an hour on two cores
    python -m benchmarks.bench --quick              # the mini size: minutes
    python -m benchmarks.bench --only training      # one section; the others keep their last results

All contenders are built from this package (the reference: `procedure_*.py`) and take turns, each in a process
of its own; ratios are taken round by round. Writes `results.json`, `results.md` and pictures to outputs/bench/SIZE.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.utils.files import atomic_path, write_json

from . import bench_loss, bench_sampling, bench_training, profile_groups
from .bench_contenders import Contender, alternate, worker
from .bench_report import machine, page
from .configs import ARCHITECTURE, composed

SECTIONS = ("training", "sampling", "loss", "profile")


def say(text: str) -> None:
    """A line of progress, at once."""
    print(text, flush=True)


def training(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Updates of all contenders."""
    contenders = bench_training.contenders(args.size, folder, args.batch_size, not args.no_compile)
    measured = alternate(contenders, rounds=args.rounds, threads=args.threads, at_once=args.at_once, say=say)
    return {
        "size": args.size,
        "batch_size": args.batch_size,
        "rows": [one.as_dict() for one in measured],
    }


def sampling(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Clips of all contenders."""
    contenders = bench_sampling.contenders(args.size, folder, not args.no_compile)
    measured = alternate(contenders, rounds=args.rounds, threads=args.threads, at_once=args.at_once, say=say)
    seconds = composed(ARCHITECTURE[args.size])["segment_seconds"]
    return {"size": args.size, "seconds": seconds, "rows": [one.as_dict() for one in measured]}


def loss(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Loss curves of both procedures, and their picture."""
    say(f"{args.updates} updates of both procedures with {args.seeds} seeds")
    found = bench_loss.compare(folder, range(args.seeds), args.updates, args.threads)
    bench_loss.draw(folder / "loss.png", found["curves"])
    return found


def profile(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Where the time of an update and of a clip goes, before and after."""
    every = {
        "a training update": bench_training.contenders(
            args.size, folder, args.batch_size, not args.no_compile
        ),
        "a generated clip": bench_sampling.contenders(args.size, folder, not args.no_compile),
    }
    tables: dict[str, Any] = {}
    for what, contenders in every.items():
        tables[what] = {one.name: _profile(one, args.threads) for one in _before_and_after(contenders)}
        name = f"profile_{what.split()[-1]}.png"
        profile_groups.draw(folder / name, f"Where the time of {what} goes", tables[what])
    return {"size": args.size, "tables": tables}


def _before_and_after(contenders: list[Contender]) -> list[Contender]:
    """The reference, and ours on the same architecture in half precision, eager and, if wanted, compiled."""
    half = [one for one in contenders[1:-1] if "bfloat16" in one.name]
    return [contenders[0], half[0], *(one for one in half if "compiled" in one.name)]


def _profile(contender: Contender, threads: int) -> dict[str, float]:
    with worker(contender, threads) as one:
        one.ask("run")
        (groups,) = one.ask("profile").values()
    say(f"{contender.name}: profiled")
    return groups


def main() -> None:
    """Measure the sections asked for, and write everything there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the mini size, nothing compiled, no profile")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this section; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="of every contender")
    parser.add_argument("--batch-size", type=int, default=4, help="clips of a training update")
    parser.add_argument("--updates", type=int, help="of the loss curves; default 400, quick 30")
    parser.add_argument("--seeds", type=int, default=3, help="of the loss curves")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--at-once", type=int, default=3, help="processes that hold a model together: memory")
    parser.add_argument("--no-compile", action="store_true", help="leave out what torch.compile makes")
    parser.add_argument("-o", "--output", type=Path, help="folder; default: outputs/bench/SIZE")
    args = parser.parse_args()
    args.size = "mini" if args.quick else "paper"
    args.no_compile = args.no_compile or args.quick
    args.updates = args.updates or (30 if args.quick else 400)
    folder = (args.output or paths.outputs_dir() / "bench" / args.size).resolve()
    path = folder / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["machine"] = machine(args.threads)
    work = {"training": training, "sampling": sampling, "loss": loss, "profile": profile}
    sections = [section for section in SECTIONS if not (args.quick and section == "profile")]
    for section in args.only or sections:
        say(f"== {section}")
        results[section] = work[section](args, folder)
        write_json(path, results)
        with atomic_path(folder / "results.md") as temporary:
            temporary.write_text(page(results), encoding="utf-8")
    say("")
    say(page(results))
    say(f"{path} and the pictures beside it")


if __name__ == "__main__":
    main()
