"""A training step of ours beside the plain loop that everybody writes and beside pythae, taking turns.

python benchmarks/compare.py --scale paper --rounds 10
python benchmarks/compare.py --device cuda --replicas 10
"""

from __future__ import annotations

import importlib.util
import itertools
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import cyclopts
import torch
import torch.nn.functional as F
from floor import elapsed, settings_of, small_run
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from betavae.device import prepare_cpu, unpack_floats
from betavae.estimate import sample_grid, sample_images

BATCHES = {"cpu": 2, "cuda": 50}  # of one sample, and of an epoch of pythae's


def plain_layers(settings: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    """Table 1's network as ordinary layers: encoder and decoder."""
    width, latents = settings["width"], settings["latents"]

    def layers(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
        pairs = [layer for sizes in itertools.pairwise(sizes) for layer in (nn.Linear(*sizes), activation())]
        return nn.Sequential(*pairs[:-1])

    encoder = layers([4096, width, width, 2 * latents], nn.ReLU)
    return encoder, layers([latents, width, width, width, 4096], nn.Tanh)


def images(settings: dict[str, Any], device: str) -> Tensor:
    """Float images (n, 4096), as many as an epoch of a sample has."""
    return unpack_floats(torch.from_numpy(sample_images(sample_grid(settings))[: BATCHES[device] * settings["batch"]]))


def optimiser_options(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of torch's optimiser, and its options beside the rate."""
    if settings["optimiser"] == "adagrad":
        return "Adagrad", {"initial_accumulator_value": settings["initial_accumulator"]}
    return "Adam", {}


def ours(settings: dict[str, Any], device: str) -> Callable[[], Any]:
    """This project's training, all replicas together."""
    prepare_cpu(settings["threads"])
    _, steps, _ = small_run(settings, torch.device(device))
    return lambda: [next(steps) for _ in range(BATCHES[device])]


def plain(settings: dict[str, Any], device: str) -> Callable[[], Any]:
    """The loop that everybody writes, one network."""
    encoder, decoder = (layers.to(device) for layers in plain_layers(settings))
    name, options = optimiser_options(settings)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = getattr(torch.optim, name)(parameters, lr=settings["learning_rate"], **options)
    loader = DataLoader(TensorDataset(images(settings, device)), settings["batch"], shuffle=True)

    def epoch() -> None:
        for (shown,) in loader:
            x = shown.to(device)
            mean, logvar = encoder(x).chunk(2, dim=1)
            logits = decoder(mean + (0.5 * logvar).exp() * torch.randn_like(mean))
            kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
            loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + settings["beta"] * kl
            optimiser.zero_grad()
            (loss / len(x)).backward()
            optimiser.step()

    return epoch


def pythae(settings: dict[str, Any], device: str) -> Callable[[], Any]:
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
    shown = images(settings, device)
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
            no_cuda=device == "cpu",
        ),
    )
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def sample_when_asked(connection: Connection, make: Callable, settings: dict[str, Any], device: str) -> None:
    """In a process of its own: time one sample whenever asked to; seconds a step go back, on a CPU of CPU time."""
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    sample, on = make(settings, device), torch.device(device)
    while connection.recv():
        connection.send(elapsed(sample, on) / BATCHES[device])


def main(
    *, scale: str = "paper", batch: int = 64, replicas: int = 1, device: str = "cpu", threads: int = 1, rounds: int = 10
) -> None:
    """Print what a step of each takes, β = 4, and the ratios of the medians to ours in float32.

    replicas: of ours, which are trained together; the others train one network. What counts for all is time a replica.
    """
    settings = settings_of(scale, "beta4", replicas, batch=batch, threads=threads, precision="float32")
    contenders = {
        "ours": (ours, settings),
        "plain loop": (plain, settings),
        "pythae": (pythae, settings),
        "ours in bfloat16": (ours, settings | {"precision": "bfloat16"}),
    }
    if device == "cuda":
        contenders["ours in tf32"] = ours, settings | {"precision": "tf32"}
    if not importlib.util.find_spec("pythae"):
        del contenders["pythae"]
        print("pythae is left out; to have it: pip install --no-deps -r benchmarks/requirements.txt")
    os.environ["TQDM_DISABLE"] = "1"  # pythae draws a bar for each epoch
    context = multiprocessing.get_context("spawn")
    ends, taken = {}, {name: [] for name in contenders}
    for name, (make, own) in contenders.items():
        ends[name], other = context.Pipe()
        context.Process(target=sample_when_asked, args=(other, make, own, device), daemon=True).start()
    for number in range(rounds + 1):
        for name, end in ends.items():
            end.send(True)
            if number:
                taken[name].append(end.recv())
            else:
                end.recv()  # the first sample warms up
    for end in ends.values():
        end.send(False)
    trained = {name: replicas if make is ours else 1 for name, (make, _) in contenders.items()}
    medians = {name: median(own) / trained[name] for name, own in taken.items()}
    clock = "CPU" if device == "cpu" else "wall"
    print(
        f"scale {scale}: width {settings['width']}, {settings['optimiser']}, batch {batch}, {device}, "
        f"threads {threads}, torch {torch.__version__}; {clock} time a step and replica, of ours {replicas} together, "
        f"median of {rounds} samples of {BATCHES[device]} steps"
    )
    for name, own in medians.items():
        print(f"{name:17} {1e3 * own:8.2f} ms  {batch / own:8.0f} images/s  ÷ ours {own / medians['ours']:.2f}")


if __name__ == "__main__":
    cyclopts.run(main)
