"""One update of the training, by the reference procedure and by the solver as configured: what it takes.

A round is one whole update: clips loaded, latents made or read, both passes, optimiser, moving average.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from audiocraft.solvers.builders import get_lr_scheduler

from .bench_contenders import Contender, Counts, Seconds
from .bench_corpus import prepare
from .bench_counts import counting, parts_of
from .configs import ARCHITECTURE, RECOMMENDED
from .procedure_sampling import STREAMS
from .procedure_training import ReferenceTraining
from .profile_groups import profiled

#: The product's switches, row by row.
LADDER: dict[str, list[str]] = {
    "ours, float32": [],
    "ours, bfloat16": ["autocast=true"],
    "ours, bfloat16, channels last": ["autocast=true", "channels_last=true"],
    "ours, bfloat16, compiled": ["autocast=true", "compile.use=true"],
}
#: Those of the recommended row.
RECOMMENDED_SWITCHES = ["autocast=true"]


def solver_of(overrides: list[str], folder: Path, stack: ExitStack) -> Any:
    """The solver of an experiment in `folder`, inside its experiment until `stack` closes."""
    from pn_diffusion_plugin.train import get_solver, main

    logging.disable(logging.WARNING)
    main.dora.dir = folder / "dora"
    xp = main.get_xp(overrides)
    stack.enter_context(xp.enter(stack=True))
    return get_solver(xp.cfg)


class SolverUpdate:
    """The product's own training stage, of one update.

    Args:
        overrides: of the experiment; `optim.updates_per_epoch`, where it is named, instead of one update.
        folder: of its files.
    """

    def __init__(self, overrides: list[str], folder: Path) -> None:
        self._stack = ExitStack()
        self.solver = solver_of(["optim.updates_per_epoch=1", *overrides], folder, self._stack)
        self.solver.seed_epoch()

    def update(self) -> None:
        """One update."""
        self.solver.run_stage("train", self.solver.train)
        self.solver._start_epoch()  # the stage may run again in the same epoch

    def run(self) -> Seconds:
        """Seconds of an update."""
        began = time.perf_counter()
        self.update()
        return {"update": time.perf_counter() - began}

    def count(self) -> Counts:
        """An update, counted."""
        model = self.solver.model
        with counting(parts_of(model.provider, model.denoiser, self.solver.vae)) as counts:
            self.update()
        return counts

    def profile(self) -> dict[str, Seconds]:
        """An update, profiled."""
        return {"update": profiled(self.update)}


class ReferenceUpdate(SolverUpdate):
    """The reference procedure on the weights and clips that the solver would work with."""

    def __init__(self, overrides: list[str], folder: Path) -> None:
        super().__init__([*overrides, "latents.cache=false", "optim.ema.use=false"], folder)
        solver = self.solver
        self.reference = ReferenceTraining(solver.config, solver.model, solver.vae)
        self.reference.lr_scheduler = get_lr_scheduler(
            self.reference.optimizer, solver.cfg.schedule, solver.total_updates
        )

    def update(self) -> None:
        self.solver.model.train()
        self.step(next(iter(self.solver.dataloaders["train"])))

    def step(self, batch: Any) -> float:
        """An update on a batch of the solver's loader; gives the loss."""
        wav, infos = batch
        tokenized = self.solver.model.provider.tokenize(
            [info.to_condition_attributes() for info in infos], STREAMS
        )
        return self.reference.step(wav, tokenized, mask=self.solver._mask(infos))


def contenders(size: str, folder: Path, batch_size: int, compiled: bool = True) -> list[Contender]:
    """The reference procedure first, then ours, switch by switch, then what we recommend.

    Args:
        size: `paper` or `mini`.
        folder: for the corpus, the autoencoder and experiments.
        batch_size: clips an update.
        compiled: with the rows that compile.
    """
    common = [
        f"dataset.batch_size={batch_size}",
        "dataset.valid.num_samples=2",
        "dataset.train.start_every=3",  # seconds: two segments a clip, so that there is little to cache
        f"latents.folder={folder / 'latents'}",
    ]
    same = prepare([*ARCHITECTURE[size], *common], folder)
    ours = prepare([*RECOMMENDED[size], *common, "latents.cache=true"], folder)

    def subject(name: str, overrides: list[str], make: type[SolverUpdate] = SolverUpdate) -> Contender:
        return Contender(name, make, {"overrides": overrides, "folder": folder})

    rows = [subject("reference procedure", same, ReferenceUpdate)]
    rows += [subject(name, [*same, "latents.cache=true", *switches]) for name, switches in LADDER.items()]
    recommended = RECOMMENDED[size][0].removeprefix("solver=")
    rows.append(subject(f"recommended: {recommended}", [*ours, *RECOMMENDED_SWITCHES]))
    return [row for row in rows if compiled or "compiled" not in row.name]
