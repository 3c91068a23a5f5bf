"""A training step of ours beside the plain loop that everybody writes and beside pythae, taking turns.

python benchmarks/compare.py --scale paper --rounds 10
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import cyclopts
import torch
import torch.nn.functional as F
from floor import SMALL, settings_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from betavae.device import prepare_cpu, unpack_floats
from betavae.estimate import sample_images
from betavae.train import build, take_turns, training_steps

BATCHES = 2  # of one sample, and of an epoch of pythae's


def plain_layers(settings: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    """Table 1's network as ordinary layers: encoder and decoder."""
    width, latents = settings["width"], settings["latents"]

    def layers(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
        pairs = [layer for sizes in itertools.pairwise(sizes) for layer in (nn.Linear(*sizes), activation())]
        return nn.Sequential(*pairs[:-1])

    encoder = layers([4096, width, width, 2 * latents], nn.ReLU)
    return encoder, layers([latents, width, width, width, 4096], nn.Tanh)


def images(settings: dict[str, Any]) -> Tensor:
    """Float images (n, 4096), as many as an epoch of a sample has."""
    return unpack_floats(torch.from_numpy(sample_images(SMALL)[: BATCHES * settings["batch"]]))


def optimiser_options(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of torch's optimiser, and its options beside the rate."""
    if settings["optimiser"] == "adagrad":
        return "Adagrad", {"initial_accumulator_value": settings["initial_accumulator"]}
    return "Adam", {}


def ours(settings: dict[str, Any]) -> Callable[[], Any]:
    """This project's training."""
    prepare_cpu(settings["threads"])
    cpu = torch.device("cpu")
    turns = take_turns(build(settings, cpu), settings)
    steps: Iterator = training_steps(turns, settings, sample_images(SMALL), SMALL, cpu)
    return lambda: [next(steps) for _ in range(BATCHES)]


def plain(settings: dict[str, Any]) -> Callable[[], Any]:
    """The loop that everybody writes."""
    encoder, decoder = plain_layers(settings)
    name, options = optimiser_options(settings)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = getattr(torch.optim, name)(parameters, lr=settings["learning_rate"], **options)
    loader = DataLoader(TensorDataset(images(settings)), settings["batch"], shuffle=True)

    def epoch() -> None:
        for (x,) in loader:
            mean, logvar = encoder(x).chunk(2, dim=1)
            logits = decoder(mean + (0.5 * logvar).exp() * torch.randn_like(mean))
            kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
            loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + settings["beta"] * kl
            optimiser.zero_grad()
            (loss / len(x)).backward()
            optimiser.step()

    return epoch


def pythae(settings: dict[str, Any]) -> Callable[[], Any]:
    """pythae's BetaVAE in pythae's trainer; its cross-entropy takes probabilities, so its decoder ends in a sigmoid."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import BetaVAE, BetaVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    layers = plain_layers(settings)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.latent_dim = layers[0], settings["latents"]

        def forward(self, x: Tensor) -> ModelOutput:
            mean, logvar = self.layers(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers[1]

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z).sigmoid())

    name, options = optimiser_options(settings)
    shown = images(settings)
    config = BetaVAEConfig(
        input_dim=(4096,), latent_dim=settings["latents"], beta=settings["beta"], reconstruction_loss="bce"
    )
    trainer = BaseTrainer(
        model=BetaVAE(config, Encoder(), Decoder()),
        train_dataset=BaseDataset(shown, torch.zeros(len(shown))),
        training_config=BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=settings["batch"],
            optimizer_cls=name,
            optimizer_params=options,
            learning_rate=settings["learning_rate"],
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def sample_when_asked(connection: Connection, make: Callable, settings: dict[str, Any]) -> None:
    """In a process of its own: time one sample whenever asked to; CPU seconds a step go back."""
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    sample = make(settings)
    while connection.recv():
        started = time.process_time()
        sample()
        connection.send((time.process_time() - started) / BATCHES)


def main(*, scale: str = "paper", batch: int = 64, threads: int = 1, rounds: int = 10) -> None:
    """Print the CPU time of a step of each, one replica of β = 4, and the ratios of the medians to ours in float32."""
    settings = settings_of(scale, "beta4", 1, batch=batch, threads=threads, precision="float32")
    contenders = {
        "ours": (ours, settings),
        "plain loop": (plain, settings),
        "pythae": (pythae, settings),
        "ours in bfloat16": (ours, settings | {"precision": "bfloat16"}),
    }
    os.environ["TQDM_DISABLE"] = "1"  # pythae draws a bar for each epoch
    context = multiprocessing.get_context("spawn")
    ends, taken = {}, {name: [] for name in contenders}
    for name, (make, own) in contenders.items():
        ends[name], other = context.Pipe()
        context.Process(target=sample_when_asked, args=(other, make, own), daemon=True).start()
    for number in range(rounds + 1):
        for name, end in ends.items():
            end.send(True)
            if number:
                taken[name].append(end.recv())
            else:
                end.recv()  # the first sample warms up
    for end in ends.values():
        end.send(False)
    medians = {name: median(own) for name, own in taken.items()}
    print(
        f"scale {scale}: width {settings['width']}, {settings['optimiser']}, batch {batch}, threads {threads}, "
        f"torch {torch.__version__}; CPU time a step, median of {rounds} samples of {BATCHES}"
    )
    for name, own in medians.items():
        print(f"{name:17} {1e3 * own:8.1f} ms  ÷ ours {own / medians['ours']:.2f}")


if __name__ == "__main__":
    cyclopts.run(main)
