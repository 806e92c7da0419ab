"""The real page in a process of its own, and a client without a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file
from tiny_experiment import REPOSITORY, program

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec

SPEC = MiniSpec(train=1, valid=1, test=8, seconds=3.0)


@dataclass(frozen=True)
class Served:
    """A running page: its address, and the process that serves it."""

    address: str
    pid: int
    temporary: Path

    def client(self) -> Client:
        """A client without a browser."""
        return Client(self.address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 300})

    def get(self, path: str) -> httpx.Response:
        """A file of the page."""
        return httpx.get(f"{self.address}/{path}", timeout=300)


@contextmanager
def serving(model: Path | str, temporary: Path, *options: str) -> Iterator[Served]:
    """`pn-diffusion serve` in this context; at its end it must exit cleanly and leave no temporary files."""
    temporary.mkdir(parents=True, exist_ok=True)
    command = [program("pn-diffusion"), "serve", "--model", str(model), "--port", "0", *options]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    said = temporary / "said.txt"
    with open(said, "w") as stream:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=stream)
    try:
        while not (found := re.search(r"open (http://\S+) in a browser", said.read_text())):
            assert process.poll() is None, said.read_text()
            time.sleep(0.2)
        yield Served(found[1], process.pid, temporary)
        before = len(said.read_text())
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=120)
        after = said.read_text()[before:]  # 0 where this test itself was started to ignore Ctrl-C
        assert code in (0, 130) and "Traceback" not in after, (code, after)
        assert list(temporary.glob("pn-diffusion-serve-*")) == []
    finally:
        process.kill()
        process.wait()


def dance(folder: Path, number: int = 0) -> Path:
    """Three seconds of a dancer."""
    return write_clip_video(SPEC.plan("test", number), folder)


def ask(client: Client, video: Path | None, model: Path | str, **changes: Any) -> dict[str, Any]:
    """Press the button *Make music*; returns the result for programs."""
    request: dict[str, Any] = {
        "takes": 1, "seed": 0, "steps": 3, "sampler": "ddim", "guidance": 1.0, "negative_cfg": 0.0,
        "start": 0, "end": 0, "dancer": "prominent", **changes,
    }  # fmt: skip
    given = None if video is None else handle_file(video)
    answer = client.predict(given, str(model), *request.values(), api_name="/make")
    return answer[2]
