"""What an experiment needs before it can start: another experiment's result, made first when it is missing.

The other run is a process of its own (`dora run …`): a Hydra application cannot run inside another one.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from .. import paths
from ..errors import CheckpointError
from ..utils.files import exclusive

logger = logging.getLogger(__name__)

_LOOK_UP = """
import json, logging, sys
logging.disable(logging.CRITICAL)
from pn_diffusion_plugin.train import main
try:
    xp = main.get_xp(json.loads(sys.argv[1]))
except Exception as error:
    sys.exit(str(error).splitlines()[0])
try:
    done = len(xp.link.load() or xp.link.history)
except Exception:
    done = 0
print(json.dumps({"folder": str(xp.folder), "done": done, "epochs": xp.cfg.optim.epochs}))
"""


def ensure_experiment(overrides: list[str]) -> Path:
    """Folder of the finished experiment with these overrides; it is run, or resumed, when it is not finished.

    When several programs want the same experiment at once, one runs it and the others wait for it.

    Raises:
        CheckpointError: when the run fails.
    """
    state = _look_up(overrides)
    if state["done"] >= state["epochs"]:
        return Path(state["folder"])
    with exclusive(paths.outputs_dir() / "locks" / Path(state["folder"]).name):
        return _run(overrides)


def _run(overrides: list[str]) -> Path:
    state = _look_up(overrides)  # again: somebody else may have run it while this one waited
    if state["done"] < state["epochs"]:
        command = [sys.executable, "-m", "dora", "-P", "pn_diffusion_plugin", "run", *overrides]
        logger.info("First: dora run %s", " ".join(overrides))
        # A run of its own also where this one is a worker of several: it must not wait for the others.
        alone = {**os.environ, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        if subprocess.run(command, cwd=paths.base_dir(), env=alone).returncode:
            raise CheckpointError(
                f"`dora run {' '.join(overrides)}` failed (see above): this experiment needs its "
                "result; run it by itself, or name a finished one with vae.checkpoint"
            )
    return Path(state["folder"])


def _look_up(overrides: list[str]) -> dict:
    result = subprocess.run(
        [sys.executable, "-c", _LOOK_UP, json.dumps(overrides)],
        cwd=paths.base_dir(),
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise CheckpointError(
            f"the configuration {' '.join(overrides)} cannot be composed: "
            f"{result.stderr.strip().splitlines()[-1] if result.stderr.strip() else 'no reason given'}"
        )
    return json.loads(result.stdout.strip().splitlines()[-1])
