"""An experiment goes on from a whole checkpoint, whatever a full disk or a kill left beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.errors import CheckpointError

MakeSolver = Callable[..., Any]


def files(solver: Any) -> tuple[Path, Path, Path]:
    """The checkpoint, the one being written, and audiocraft's mark that this is done."""
    file = solver.checkpoint_path()
    return file, Path(f"{file}.tmp"), Path(f"{file}.tmp.done")


def test_a_torn_successor_does_not_take_the_place_of_a_good_checkpoint(make_solver: MakeSolver) -> None:
    """The disk was full at the last bytes: audiocraft has marked the file as done."""
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, temporary, mark = files(solver)
    good = file.read_bytes()
    temporary.write_bytes(good[:-100])
    mark.touch()
    again = make_solver("mel_vae")
    assert again.restore()
    assert file.read_bytes() == good
    assert not temporary.exists() and not mark.exists()


def test_a_whole_successor_does(make_solver: MakeSolver) -> None:
    """It was killed between the last byte and the renaming."""
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, temporary, mark = files(solver)
    state = torch.load(file, weights_only=True)
    state["history"] = [{"train": {"loss": 1.0}}]
    torch.save(state, temporary)
    mark.touch()
    again = make_solver("mel_vae")
    assert again.restore() and again.history == state["history"]
    assert not temporary.exists() and not mark.exists()


def test_a_changed_checkpoint_is_refused_and_kept(make_solver: MakeSolver) -> None:
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, *_ = files(solver)
    content = bytearray(file.read_bytes())
    value = max(solver.model.state_dict().values(), key=torch.numel)
    content[content.index(value.numpy().tobytes())] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged .*: delete it to begin the experiment again"):
        make_solver("mel_vae").restore()
    assert file.read_bytes() == bytes(content)
