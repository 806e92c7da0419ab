"""python tests/fuzz --inputs 10000 [--only NAME …] [--seed 0]: mutated real files for everything that parses one."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from driver import child, fuzz  # noqa: E402


def main() -> int:
    """Print a line for each target and each kind of finding; 1 if there is one."""
    parser = argparse.ArgumentParser(prog="tests/fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="of each target")
    parser.add_argument("--only", nargs="*", help="names of targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child), options.folder)
        return 0
    from targets import TARGETS

    names = options.only or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]}: choose from {', '.join(TARGETS)}")
    results = fuzz(names, options.inputs, options.seed, options.first)
    for name, result in results.items():
        print(f"{name}: {result.inputs} inputs, {result.refused} refused, {len(result.findings)} findings")
        kinds = Counter((f["what"], str(f.get("detail", ""))[-200:]) for f in result.findings)
        for (what, detail), count in kinds.most_common(20):
            number = next(f["number"] for f in result.findings if f["what"] == what)
            print(f"  {count} x {what}: {detail} (input {number})")
    if options.json:
        options.json.write_text(
            json.dumps({name: vars(result) for name, result in results.items()}, indent=1)
        )
    return int(any(result.findings for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
