"""Figure 6 at the scale `paper`, unattended and in pieces: the rows of its left half first, then the sweep.

    python workflow/reproduce_paper.py --minutes 10 --at-once 2

Each part, some seeds of one model, is trained, encoded and scored by the workflow in `work`, a folder that need not
outlive the piece. What a part leaves in `folder` is small: its metric file and summary; no weights, no codes. The same
command goes on where the last one stopped: at the next part, and where `work` is still there within a training. After
each piece the tables and figures in `folder` are drawn anew from all parts so far.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cyclopts
import h5py
import numpy as np
import yaml
from snakemake.iocontainers import Wildcards
from snakemake.utils import update_config

from betavae import figure6_left, figure6_right, job
from betavae.errors import UserError
from betavae.metric_file import accuracies_of
from betavae.names import MAIN_BETAS, NAMED_SYSTEMS, beta_name
from betavae.needs import NETWORK
from betavae.plan import Plan
from betavae.score import summarise
from betavae.tables import write_table

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0  # seconds that a training has to write its checkpoint once it is told to stop


class Part(NamedTuple):
    """Some seeds of one model: as many as `replicas`, the first of them `seed`."""

    model: str
    seed: int
    replicas: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.model}_seeds{self.seed}-{self.seed + self.replicas - 1}"


def parts_of(plan: Plan, at_once: int) -> list[Part]:
    """All parts in their order: what needs no training, both β, the adversary and DC-IGN, the sweep.

    at_once: seeds that are trained as one network, at most.
    """
    learnt = plan.trained_models()
    first = [model for model in plan.main_models() if model not in learnt]
    order = dict.fromkeys([*first, *map(beta_name, reversed(MAIN_BETAS)), *NAMED_SYSTEMS, *plan.sweep_models()])
    found = []
    for model in order:
        if re.fullmatch(NETWORK, model):
            seeds = plan.training(plan.scale, model)["seeds"]
            for start in range(0, len(seeds), at_once):
                found.append(Part(model, seeds[start], len(seeds[start : start + at_once])))
        else:
            found.append(Part(model, plan.config["seed"], plan.preset(plan.scale)["replicas"]))
    return found


def overlay(plan: Plan, part: Part) -> dict[str, Any]:
    """The config of a part: its seeds, and nothing else, differ."""
    own = {"replicas": part.replicas}
    chosen = own | dict.fromkeys(("sweep", *NAMED_SYSTEMS), own)
    return {"scale": plan.scale, "seed": part.seed, "scales": {plan.scale: chosen}}


def files_of(plan: Plan, part: Part) -> dict[str, str]:
    """What a part leaves, {ending of its file in the folder of parts: its path in the workflow}.

    The metric file comes last: a part that has it is done.
    """
    found = {}
    if part.model in plan.sweep_models():
        found["h5"] = plan.summary(part.model)
    if part.model == "pca":
        found["variance.json"] = f"results/{plan.scale}/pca_variance.json"
    return found | {"json": plan.score(part.model)}


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def settings_of(plan: Plan, part: Part) -> dict[str, Any]:
    """The settings of a part's score, and of its training where it has one, as its metric file holds them; but for the
    threads, which are the machine's.
    """
    config = copy.deepcopy(plan.config)
    update_config(config, overlay(plan, part))
    own, names = Plan(config), {"scale": plan.scale, "model": part.model, "metric": "zdiff"}
    found = json.loads(own.score_settings(Wildcards(fromdict=names)))
    if re.fullmatch(NETWORK, part.model):
        found["representation"] = own.training(plan.scale, part.model)
    return told(found)


def told(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings {name: value}, those of the representation among them, without what does not shape a result."""
    inner = {f"representation.{name}": value for name, value in settings.get("representation", {}).items()}
    found = {name: value for name, value in (settings | inner).items() if name != "representation"}
    return {name: value for name, value in found.items() if name != "representation.threads"}


def is_done(plan: Plan, part: Part, parts: Path) -> bool:
    """Whether the folder of parts holds this one; UserError where it was made with other settings."""
    if not (path := parts / f"{part.name}.json").exists():
        return False
    had, asked = told(read_json(path)["settings"]), settings_of(plan, part)
    for name, value in asked.items():
        if had.get(name) != value:
            raise UserError(f"{path}: {name} is {had.get(name)}, expected {value}; take another --folder, or delete it")
    return True


def made_by(plan: Plan, part: Part, work: Path) -> dict[str, Any]:
    """What made a part: device and commit of its training (of what is not trained, of its score), and all its seconds.

    Seconds are those of training, codes and score on the wall, interrupted trainings counted whole.
    """
    steps = [read_json(work / plan.score(part.model))["provenance"]]
    if re.fullmatch(NETWORK, part.model):
        codes = steps[0]["codes"]
        steps += [codes, codes["training"]]
    return {
        "device": steps[-1]["device"],
        "commit": steps[-1]["git_commit"],
        "seconds": round(sum(step["seconds"] for step in steps), 1),
    }


def start(plan: Plan, part: Part, work: Path, options: list[str]) -> subprocess.Popen[bytes]:
    """Start the workflow on a part, in a process group of its own."""
    config = work / "part.yaml"
    config.write_text(yaml.safe_dump(overlay(plan, part)), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    command += ["--cores", "all", "--rerun-incomplete", "--quiet", "rules", *options, str(config), "--"]
    return subprocess.Popen([*command, *files_of(plan, part).values()], cwd=ROOT, process_group=0)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a run as Ctrl-C in its terminal would: Snakemake and its jobs, which it would otherwise wait for."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def run_part(plan: Plan, part: Part, parts: Path, work: Path, options: list[str], deadline: float) -> bool:
    """Make a part's files in `work` and copy them to `parts`; whether it was done before the deadline.

    UserError where the workflow failed.
    """
    with start(plan, part, work, options) as process:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            stop(process)
            return False
        except KeyboardInterrupt:
            stop(process)
            raise
    if process.returncode:
        raise UserError(f"{part.name}: the workflow failed (status {process.returncode}), see {work}/.snakemake/log")
    job.write_json(parts / f"{part.name}.made.json", made_by(plan, part, work))
    for ending, path in files_of(plan, part).items():
        with job.atomic(parts / f"{part.name}.{ending}") as temporary:
            shutil.copyfile(work / path, temporary)
    for kind in ("codes", "models"):
        for path in (work / "results" / plan.scale / kind).glob(f"{part.model}.*"):
            path.unlink()  # large, and the next seeds' are others
    return True


# What has come so far ------------------------------------------------------------------------------------


def merged_score(scores: Sequence[dict[str, Any]], keep: float) -> dict[str, Any]:
    """One metric file of a model's parts: replicas numbered through, mean and spread of the kept scores of all.

    The confusion matrix is the mean of the parts', each over its own kept scores.
    """
    if len(scores) == 1:
        return scores[0]
    rows: list[list[Any]] = []
    diverged: list[int] = []
    for score in scores:
        before = rows[-1][0] + 1 if rows else 0
        rows += [[before + replica, seed, value] for replica, seed, value in score["scores"]]
        diverged += [before + replica for replica in score["diverged"]]
    mean, std, kept = summarise(accuracies_of(rows), np.zeros(len(rows), np.int64), keep)
    confusions = [score["confusion"] for score in scores if score["confusion"] is not None]
    return scores[0] | {
        "score_mean": mean,
        "score_std": std,
        "scores": rows,
        "kept": kept.tolist(),
        "diverged": diverged,
        "confusion": np.mean(confusions, axis=0) if confusions else None,
        "settings": scores[0]["settings"] | {"replicas": rows[-1][0] + 1},
        "provenance": {"parts": [score["provenance"] for score in scores]},
    }


def merge_summaries(summaries: Sequence[Path], output: Path) -> None:
    """One summary of a model's parts, all replicas one after the other."""
    with job.atomic(output) as temporary:
        shutil.copyfile(summaries[0], temporary)
        with h5py.File(temporary, "r+") as file:
            for name in ("reconstruction", "kl", "examples/reconstruction"):
                arrays = []
                for path in summaries:
                    with h5py.File(path) as part:
                        arrays.append(part[name][:])
                del file[name]
                file[name] = np.concatenate(arrays)


def rows_of(folder: Path, done: Sequence[Part]) -> list[dict[str, Any]]:
    """A row a part: what it scored, what made it and how long that took."""
    rows = []
    for part in done:
        score, made = (read_json(folder / "parts" / f"{part.name}.{ending}") for ending in ("json", "made.json"))
        rows.append(
            {
                "model": part.model,
                "seeds": f"{part.seed}–{part.seed + part.replicas - 1}",
                "score (%)": "" if score["score_mean"] is None else 100 * score["score_mean"],
                **made,
            }
        )
    return rows


def draw(plan: Plan, folder: Path, done: Sequence[Part]) -> None:
    """Metric files, tables and figures in `folder`, of all parts that are done."""
    keep, metrics = plan.config["metrics"]["zdiff"]["keep"], folder / "metrics"
    models = list(dict.fromkeys(part.model for part in done))
    of = {model: [part for part in done if part.model == model] for model in models}
    for model, own in of.items():
        scores = [read_json(folder / "parts" / f"{p.name}.json") for p in own]
        job.write_json(metrics / f"{model}.json", merged_score(scores, keep))
        if summaries := [path for p in own if (path := folder / "parts" / f"{p.name}.h5").exists()]:
            merge_summaries(summaries, metrics / f"{model}.h5")
    write_table(folder / "parts.csv", folder / "parts.md", rows_of(folder, done), "# What made each part")
    pictures = {
        half: {suffix: folder / f"figure6_{half}.{suffix}" for suffix in ("png", "pdf", "csv", "md")}
        for half in ("left", "right")
    }
    if variance := list((folder / "parts").glob("pca_*.variance.json")):
        left = [metrics / f"{model}.json" for model in plan.main_models() if model in models]
        figure6_left.main(scores=left, variance=variance[0], scale=plan.scale, **pictures["left"])
    points = [[*point, model] for point in plan.sweep_points() if (model := plan.sweep_model(*point)) in models]
    if points:
        figure6_right.main(
            scores=[metrics / f"{model}.json" for *_, model in points],
            summaries=[metrics / f"{model}.h5" for *_, model in points],
            settings=json.dumps({"scale": plan.scale, "points": points}),
            **pictures["right"],
        )


def main(
    *,
    folder: Path = ROOT / "docs" / "reproduction",
    work: Path = ROOT / "results" / "reproduce_paper",
    minutes: float = 600,
    at_once: int = 10,
    scale: str = "paper",
    configfile: Sequence[Path] = (),
) -> None:
    """Go on with the reproduction of Figure 6, left half first.

    Parameters
    ----------
    folder: where metric files, tables and figures are left.
    work: where the workflow computes; large, and may go between pieces.
    minutes: how long a piece may take.
    at_once: seeds of a model that are trained together; a part must end within a piece unless `work` is kept.
    scale: the scale of the config.
    configfile: files of your own on top of config.yaml.
    """
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for path in configfile:
        update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")))
    plan = Plan(config | {"scale": scale})
    deadline = time.monotonic() + 60 * minutes
    work.mkdir(parents=True, exist_ok=True)
    every = parts_of(plan, at_once)
    options = ["--configfile", *(str(path.absolute()) for path in configfile)]
    waiting = [part for part in every if not is_done(plan, part, folder / "parts")]
    left = list(waiting)
    while left:
        part, number = left[0], every.index(left[0]) + 1
        print(f"part {number} of {len(every)}: {part.name}", flush=True)
        if not run_part(plan, part, folder / "parts", work, options, deadline):
            print(f"time is up within part {number} of {len(every)}; the same command goes on")
            if left == waiting:
                print(f"no part fits a piece: if {work} will not stay, take a smaller --at-once or more --minutes")
            break
        del left[0]
    done = [part for part in every if part not in left]
    if done:
        draw(plan, folder, done)
    print(f"{len(done)} of {len(every)} parts are done; figures, tables and metric files are in {folder}")


if __name__ == "__main__":
    try:
        app = cyclopts.App(default_parameter=cyclopts.Parameter(consume_multiple=True))
        app.default(main)
        app()
    except UserError as error:
        sys.exit(f"reproduce_paper: {error}")
    except KeyboardInterrupt:
        sys.exit("reproduce_paper: stopped; the same command goes on where it was")
