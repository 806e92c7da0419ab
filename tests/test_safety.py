"""Nothing in the package unpickles, evaluates or follows what a file that a user received may say."""

from __future__ import annotations

import ast
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import VideoError

#: Calls that run what a file says; those of YAML that do are named without `safe_`.
FORBIDDEN = {
    "eval",
    "exec",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "dill.load",
    "joblib.load",
    "marshal.loads",
}
FORBIDDEN |= {
    f"yaml.{name}" for name in ("load", "load_all", "full_load", "unsafe_load", "Loader", "UnsafeLoader")
}
#: The one place where a pickle is read, by a machine that builds arrays only.
PICKLES = "utils/array_pickle.py"


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Dotted name of every call with a plain name, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    """Value of a literal keyword of a call; None where it has none."""
    return next(
        (k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None
    )


def unsafe(source: str) -> list[str]:
    """What of a source would run or unpickle what it reads."""
    found = []
    for name, call in calls(ast.parse(source)):
        if name in FORBIDDEN:
            found.append(name)
        elif name == "torch.load" and keyword(call, "weights_only") is not True:
            found.append("torch.load without weights_only=True")
        elif name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is not False:
            found.append("np.load without allow_pickle=False")
        elif (
            name == "av.open"
            and not any(k.arg == "options" for k in call.keywords)
            and "'w'" not in ast.unparse(call)
        ):
            found.append("av.open for reading without a list of protocols")
        elif name.startswith("subprocess.") and keyword(call, "shell"):
            found.append("a shell")
    return found


def test_nothing_that_is_read_is_run(repository: Path) -> None:
    package = repository / "pn_diffusion_plugin"
    found = {
        f"{path.relative_to(package)}: {what}"
        for path in package.rglob("*.py")
        for what in unsafe(path.read_text(encoding="utf-8"))
    }
    assert found == set()
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "pickle" for alias in node.names)
    }
    assert users == {PICKLES}


@pytest.mark.parametrize(
    "source",
    ["eval(x)", "import pickle\npickle.load(f)", "yaml.load(f)", "torch.load(f)", "torch.load(f, weights_only=False)",
     "np.load(f)", "np.load(f, allow_pickle=True)", "av.open(f)", "subprocess.run(x, shell=True)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert len(unsafe(source)) == 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a server on this machine, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that a playlist could name."""
    path = tmp_path_factory.mktemp("secret") / "clip.mp4"
    write_video(path, (np.full((32, 32, 3), 20 * i, np.uint8) for i in range(10)), 10)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{target}\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT2S" profiles="x"><Period><AdaptationSet>'
        '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL><SegmentBase/></Representation>'
        "</AdaptationSet></Period></MPD>",
    ],
    ids=["hls", "concat", "sdp", "dash"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt", ".sdp", ".mpd", ""])
def test_files_that_name_further_files_or_addresses_are_refused(
    content: str, suffix: str, clip: Path, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = server
    for target in (str(clip), f"file://{clip}", f"{address}/secret.mp4"):
        path = tmp_path / f"dance{suffix}"
        path.write_text(content.format(target=target))
        with pytest.raises(VideoError, match="cannot be read as a video"):
            probe(path)
    assert asked == []


@pytest.mark.parametrize(
    "name",
    [
        "{address}/a.mp4",
        "concat:{clip}|{clip}",
        "subfile,,start,0,end,0,,:{clip}",
        "data:video/mp4;base64,AAAA",
    ],
)
def test_the_name_of_a_file_is_no_address(name: str, clip: Path, server: tuple[str, list[str]]) -> None:
    address, asked = server
    with pytest.raises(VideoError, match="does not exist"):
        probe(name.format(address=address, clip=clip))
    assert asked == []
