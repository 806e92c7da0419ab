"""Does a model follow its dancer? The same model told of the dance, of the dance reversed, of another dance.

    python benchmarks/follows.py mini -o outputs/bundle/embedded
    python benchmarks/follows.py mini --manifest outputs/corpora/generated/egs/test -o outputs/bundle/generated
    python benchmarks/follows.py mini --manifest CORPUS/egs/test --other before=FOLDER -o outputs/bundle/captured

Rows, all scored against the clip's own dance and music, with the same seeds, between the null rows and the ceiling:

- model: as it is told to people;
- reversed: told the video played backward;
- other_dance: told another clip's dance, of another song where there is one;
- no_guidance: guidance 1;
- negative: guided away from the reversed dance (w = 0.5). Of a model trained without a negative stream, which
  `generate` refuses that, its positive branch stands in for the negative one;
- further models that `--other` names.

A model that ignored its dancer would score alike in the first three. Prints the table; the report is in the folder.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.metrics.corpus import CorpusClip, evaluate_corpus, long_enough, read_split
from pn_diffusion_plugin.metrics.nulls import shuffle_clips
from pn_diffusion_plugin.metrics.report import render_markdown
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.utils.progress import ProgressCallback

NEGATIVE_WEIGHT = 0.5


class ToldOtherwise:
    """A model that is told other dances than it is asked about, or told them under other settings."""

    def __init__(
        self,
        model: PNDiffusion,
        tell: Callable[[Sequence[Features]], list[Features]] = list,
        **params: float,
    ):
        self.model, self.tell, self.params = model, tell, params
        self.sequence, self.sample_rate = model.sequence, model.sample_rate
        self.reconstruct = model.reconstruct

    def generate_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[torch.Tensor]:
        """As `PNDiffusion.generate_from_features`."""
        kept = self.model.params
        # Not by `set_generation_params`, which refuses what was not trained.
        self.model.params = replace(kept, **self.params)  # type: ignore[arg-type]
        try:
            return self.model.generate_from_features(self.tell(features), seeds, progress, names)
        finally:
            self.model.params = kept


def others_dance(clips: Sequence[CorpusClip], seed: int) -> Callable[[Sequence[Features]], list[Features]]:
    """Tells every clip another clip's dance; the clips of a corpus last about as long."""
    order = shuffle_clips([clip.info.song for clip in clips], seed)
    return lambda features: [features[other] for other in order]


def main() -> None:
    """Generate, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name, folder or signature")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--other", action="append", default=[], metavar="LABEL=MODEL")
    parser.add_argument("--clips", type=int, help="the first so many only")
    parser.add_argument("--seed", type=int, default=0, help="of generation")
    parser.add_argument(
        "--training",
        type=Path,
        action="append",
        help="manifest of training clips (default: the corpus's own)",
    )
    parser.add_argument("--vocoder", default="auto", help="auto | vocos | griffin_lim")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    model = PNDiffusion.get_pretrained(args.model)
    model.set_generation_params(vocoder=args.vocoder)
    named = dict(other.split("=", 1) for other in args.other)
    further = {label: PNDiffusion.get_pretrained(source) for label, source in named.items()}
    longest = max(one.sequence.seconds for one in (model, *further.values()))
    clips = long_enough(read_split(args.manifest, args.clips), longest)
    report = evaluate_corpus(
        model,
        args.manifest,
        args.output,
        seed=args.seed,
        clips=clips,
        label=f"PN-Diffusion, {args.model}",
        others={
            "reversed": ToldOtherwise(model, lambda features: [one.reversed() for one in features]),
            "other_dance": ToldOtherwise(model, others_dance(clips, args.seed)),
            "no_guidance": ToldOtherwise(model, guidance=1.0),
            "negative": ToldOtherwise(model, negative_guidance=NEGATIVE_WEIGHT),
            **further,
        },
        training=args.training,
        command=shlex.join(["python", "benchmarks/follows.py", *sys.argv[1:]]),
    )
    print(render_markdown(report))


if __name__ == "__main__":
    main()
