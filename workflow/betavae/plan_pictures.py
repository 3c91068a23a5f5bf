"""What the rules for models on picture sets ask: files and settings of Figures 1–4 and their tables.

Read by Snakemake itself, so without torch and NumPy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from betavae import picture_plan
from betavae.digest import code_digest
from betavae.names import (
    NameRefused,
)
from betavae.plan_paths import Paths


class Pictures(Paths):
    """The files, and what is made on pictures."""

    def picture_sets(self, subjects: list[str]) -> list[str]:
        """The sets, real ones where their paths are given, that stand for these subjects."""
        return [picture_plan.shown_set(self.config, subject) for subject in subjects]

    def picture_models(self, name: str) -> list[str]:
        """The models of a set, as the config lists them for its subject."""
        return picture_plan.models_on(self.config, name)

    def picture_shares(self, model: str) -> str:
        """What each latent of a model on pictures follows, and which replica stands for it."""
        return f"results/{self.scale}/picture_shares/{model}.json"

    def picture_score(self, wildcards: Any) -> dict[str, str]:
        """The score of a model on pictures, where the set has factors to score it by."""
        picture = self.picture(wildcards)
        scored = picture and picture_plan.factors_of(self.config, picture.set)
        return {"score": self.score(wildcards.model, scale=wildcards.scale)} if scored else {}

    def published_picture_score(self, wildcards: Any) -> str:
        """The metric file behind results/{set}/metric_{model}.json; a name that makes no sense ends the run."""
        target = f"results/{wildcards.set}/metric_{wildcards.picture}.json"
        try:
            picture_plan.check_picture_model(wildcards.picture)
        except NameRefused as error:
            sys.exit(f"{target}: {error}")
        return self.score(f"{wildcards.set}_{wildcards.picture}")

    def pictures_code(self, step: str) -> str:
        """The digest of a step's code and of all systems' that it draws from, those on pictures."""
        return code_digest(step, "conv_vae", *picture_plan.SYSTEMS)

    def picture_figure(self, wildcards: Any) -> picture_plan.Figure:
        """Which figure of the paper is asked for."""
        return picture_plan.FIGURES[wildcards.figure]

    def picture_figure_inputs(self, wildcards: Any) -> dict[str, Any]:
        """What a figure on pictures is drawn from."""
        name = picture_plan.shown_set(self.config, self.picture_figure(wildcards).subject)
        return self.pictures_on(name, self.picture_models(name))

    def pictures_on(self, name: str, models: list[str]) -> dict[str, Any]:
        """A picture set, and models on it with what their latents follow."""
        return {
            "npy": f"{self.picture_folder(name)}/images.npy",
            "h5": f"{self.picture_folder(name)}/images.h5",
            "models": [self.trained(model) for model in models],
            "shares": [self.picture_shares(model) for model in models],
        }

    def picture_figure_settings(self, wildcards: Any) -> str:
        """The settings of a figure on pictures."""
        subject, factors = self.picture_figure(wildcards)
        name = picture_plan.shown_set(self.config, subject)
        return json.dumps(
            {
                "scale": self.scale,
                "figure": wildcards.figure,
                "set": name,
                "factors": factors,
                "latents": self.config["pictures"]["latents"].get(name, {}),
            }
        )

    def held_out_inputs(self, wildcards: Any) -> dict[str, Any]:
        """The stand-in chairs, and the first β-VAE on them that never saw a combination beside the one that did."""
        name = picture_plan.HELD_OUT_ON
        model = next(iter(self.picture_vaes(name)), None)
        if not model:
            sys.exit("config: `pictures.models.chairs` has no β-VAE, of which one is held out; expected a beta<number>")
        return self.pictures_on(name, [f"{model}_held_out", model])

    def picture_vaes(self, name: str) -> list[str]:
        """The β-VAEs among the models on a set."""
        models = ((picture_plan.parse_picture(model), model) for model in self.picture_models(name))
        return [model for picture, model in models if picture and picture.model not in picture_plan.SYSTEMS]

    def held_out_settings(self) -> str:
        """The settings of the figure of the combination held out."""
        return json.dumps({"scale": self.scale, "hold_out": self.config["pictures"]["hold_out"]})

    def picture_table_settings(self, wildcards: Any) -> str:
        """The settings of a set's table."""
        return json.dumps({"scale": self.scale, "set": wildcards.set})

    def made_on(self, subjects: Sequence[str]) -> list[str]:
        """All that is made of the models on these subjects: figures, tables, histories, and scores of stand-ins."""
        sets = self.picture_sets(list(subjects))
        models = [(name, model) for name in sets for model in self.picture_models(name)]
        figures = picture_plan.FIGURES.items()
        return [
            *(f"results/figures/{figure}.png" for figure, about in figures if about.subject in subjects),
            *(f"results/tables/pictures_{name}.md" for name in sets),
            *(f"results/figures/{kind}_{model}.png" for kind in ("latents", "history") for _, model in models),
            *(
                f"results/{name}/metric_{model.removeprefix(f'{name}_')}.json"
                for name, model in models
                if name in picture_plan.STANDINS
            ),
        ]
