"""What a report is made from: a folder with report.json and its waves, or the experiment that wrote one.

FOLDER/report.json                 see metrics/report.py
FOLDER/<row>/<clip>.wav            the music of a row, `model`, `ceiling`, …; rows may lack theirs
EXPERIMENT/evaluate/…              the same, of a Dora experiment, with EXPERIMENT/.hydra/config.yaml
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ... import paths
from ...errors import UserError
from ...metrics.folders import AUDIO_SUFFIXES
from ...metrics.report import SCHEMA

REPORT = "report.json"
_MOST_NODES = 100_000  # of a configuration
NOT_COMPARED = ("seed", "label", "device", "dora", "slurm", "logging", "tensorboard", "wandb", "num_threads")
"""Keys of the configuration (with all below them) that make no other system."""


@dataclass(frozen=True)
class Source:
    """One evaluation.

    Attributes:
        label: what the page calls it.
        folder: holds report.json and the waves.
        report: content of report.json.
        config: configuration of the experiment, resolved; empty where none is known.
        training: command that trained the model, "" where none is known.
        manifest: of the clips that were scored, or None where it was not found.
    """

    label: str
    folder: Path
    report: dict[str, Any]
    config: dict[str, Any]
    training: str = ""
    manifest: Path | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of the report."""
        return list(self.report["rows"])

    def waves(self) -> dict[str, dict[str, Path]]:
        """Row name → clip name → sound file, for the rows whose folder is there."""
        found = {}
        for row in self.rows:
            folder = self.folder / row["name"]
            files = folder.rglob("*") if folder.is_dir() else ()
            sounds = {
                path.relative_to(folder).with_suffix("").as_posix(): path
                for path in sorted(files)
                if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
            }
            if sounds:
                found[row["name"]] = sounds
        return found


def read_sources(words: Sequence[str], manifest: Path | None = None) -> list[Source]:
    """The sources a user named, with labels that differ.

    Args:
        words: each a folder, a Dora signature, or either behind `LABEL=`.
        manifest: of the clips, where it cannot be found by itself.

    Raises:
        UserError: none is named; one is no evaluation or is damaged; or a label occurs twice.
    """
    if not words:
        raise UserError("there is nothing to report on: name a folder with report.json, or an experiment")
    sources = [read_source(word, manifest) for word in words]
    for source in sources:
        same = [other for other in sources if other.label == source.label]
        if len(same) > 1:
            raise UserError(
                f"{len(same)} evaluations are called {source.label}: give them names, LABEL={source.folder}"
            )
    return sources


def read_source(word: str, manifest: Path | None = None) -> Source:
    """One source; see `read_sources`."""
    label, folder = _place(word)
    experiment = folder.parent if (folder.parent / ".hydra" / "config.yaml").is_file() else None
    source = Source(label or _name(folder, experiment), folder, read_report(folder / REPORT), {})
    if experiment is not None:
        source = replace(source, config=_config(experiment), training=_training(experiment))
    settings = source.report.get("settings")  # of an evaluation that used others than the training's
    if isinstance(settings, Mapping):
        source = replace(source, config=_merged(source.config, settings))
    return replace(source, manifest=manifest or find_manifest(source))


def read_report(path: Path) -> dict[str, Any]:
    """Content of a report.json.

    Raises:
        UserError: it cannot be read or is of another form.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}): evaluate again") from error
    rows = report.get("rows") if isinstance(report, dict) else None
    good = isinstance(rows, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and Path(row["name"]).name == row["name"] not in ("", "..")  # of a folder beside the report
        and len(row["name"]) <= 100
        and isinstance(row.get("label"), str)
        and _is_scores(row.get("metrics"))
        and _is_scores(row.get("minus_shuffled", {}))
        for row in rows
    )
    if not good or report.get("schema") != SCHEMA:
        raise UserError(f"{path} is not a report of schema {SCHEMA}: evaluate again")
    about = {"split": "unknown", "clips": 0, "leak_check": "unknown: not stated", "command": "", "seeds": []}
    wrong = [key for key, value in about.items() if not isinstance(report.get(key, value), type(value))]
    if wrong:
        raise UserError(f"{path} has no readable {wrong[0]}: evaluate again")
    return {**about, **report}


def _is_scores(metrics: object) -> bool:
    """Whether these are {name: {"mean", "low", "high"} in numbers, or {"not_run": why}}."""
    return isinstance(metrics, dict) and all(
        isinstance(value, dict)
        and (
            isinstance(value.get("not_run"), str)
            or all(isinstance(value.get(key), (int, float)) for key in ("mean", "low", "high"))
        )
        for value in metrics.values()
    )


def find_manifest(source: Source) -> Path | None:
    """Where the evaluated clips are listed: by the experiment's configuration, or the corpus the split names."""
    corpus, _, split = str(source.report["split"]).rpartition("/")
    data = source.config.get("datasource")
    candidates = []
    if isinstance(data, Mapping) and isinstance(data.get("evaluate"), str):
        candidates.append(paths.resolve(data["evaluate"]))
    if corpus and split:
        candidates.append(paths.outputs_dir() / "corpora" / corpus / "egs" / split)
    for path in candidates:
        if path.name == split and (path / "data.jsonl").is_file():
            return path
    return None


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested configuration as {"a.b": value}.

    >>> flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    result: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{name}.")
        else:
            result[name] = value
    return result


def differing(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys, as `flat` names them, in which configurations differ and which make another system."""
    all_flat = [flat(config) for config in configs]
    keys = sorted({key for one in all_flat for key in one})
    return [
        key
        for key in keys
        if not any(key == skipped or key.startswith(f"{skipped}.") for skipped in NOT_COMPARED)
        and any(one.get(key) != all_flat[0].get(key) for one in all_flat)
    ]


def _place(word: str) -> tuple[str, Path]:
    """(label or "", folder with report.json) of a user's word."""
    label, sign, where = word.partition("=")
    if not sign or not label or Path(word).exists():
        label, where = "", word
    path = Path(where).expanduser()
    if path.name == REPORT and path.is_file():
        path = path.parent
    if not path.is_dir():
        from ...models.io.checkpoint import resolve_checkpoint

        path = resolve_checkpoint(where)
    for folder in (path, path / "evaluate"):
        if (folder / REPORT).is_file():
            return label, folder.resolve()
    raise UserError(
        f"{path} holds no {REPORT}: name the folder of an evaluation, or let the experiment's evaluate stage run"
    )


def _name(folder: Path, experiment: Path | None) -> str:
    return experiment.name if experiment is not None else folder.name


def _config(experiment: Path) -> dict[str, Any]:
    path = experiment / ".hydra" / "config.yaml"
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        if _nodes(plain, {}) > _MOST_NODES:
            raise ValueError("its aliases make it endless")
        config = OmegaConf.create(plain)
        try:
            content = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException:  # of another machine's environment
            content = OmegaConf.to_container(config, resolve=False)
    except Exception as error:  # yaml's and OmegaConf's errors have no common class
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): restore it or name {experiment.name}/evaluate's copy"
        ) from error
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _nodes(value: object, known: dict[int, float]) -> float:
    """Values in a YAML document once every alias is written out; infinite for one that holds itself."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_nodes(part, known) for part in parts)
    return known[id(value)]


def _training(experiment: Path) -> str:
    try:
        argv = json.loads((experiment / ".argv.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(argv, list):
        return ""
    return shlex.join(["dora", "run", *map(str, argv)])


def _merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with settings {"a.b": value} in it."""
    result = dict(config)
    for name, value in settings.items():
        head, dot, rest = str(name).partition(".")
        below = result.get(head)
        result[head] = _merged(below if isinstance(below, Mapping) else {}, {rest: value}) if dot else value
    return result
