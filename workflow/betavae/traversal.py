"""Traversals of a trained model: a sheet of all latents, and an animation that walks the live ones side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from betavae import job, style
from betavae.image_files import shown_images
from betavae.images import open_bits, open_grid
from betavae.pictures import ALL_DIVERGED, note, say, show, start_images, title
from betavae.walk import Walker, open_best

STEPS = 7  # stops of a walk on the sheet: −3, −2, … 3
ROWS = 20  # latents shown at most, the most varied, where nothing else is asked
FRAMES = 40  # frames of the animation, one walk there and back
MILLISECONDS = 60  # each
TILE = 128  # side of an image in the animation, pixels
LEVELS = 32  # greys of the animation: as good to the eye, half the bytes


def draw(walker: Walker, starts: np.ndarray, rows: int = ROWS) -> style.plt.Figure:
    """The sheet: a row a latent, `rows` at most, for each start image (n stored ones) a block of columns."""
    codes = walker.encode(starts)
    originals, rebuilt = shown_images(starts), walker.generate(codes)
    latents, values = walker.order[:rows], walker.values(STEPS)
    narrow = len(starts) < 3
    figure = style.plt.figure(figsize=(0.6 + 2.2 * len(starts), 0.8 + 0.15 * narrow + 0.313 * (len(latents) + 1)))
    above, below = figure.subplots(
        2, len(starts), height_ratios=(1, len(latents)), gridspec_kw={"hspace": 0.02, "wspace": 0.02}
    )
    for number, (top, axis) in enumerate(zip(above, below, strict=True)):
        line, words = np.ones((1, STEPS, *originals.shape[1:])), [""] * STEPS
        line[0, 2], words[2] = originals[number], "start"
        line[0, 4], words[4] = rebuilt[number], "reconstruction"
        show(top, line, columns=words)
        labels = [walker.label(latent) for latent in latents] if number == 0 else None
        show(axis, walker.walk(codes[number], latents, values), labels, walker.stops(STEPS))
    between = "\n" if narrow else " "
    figure.suptitle(f"{walker.title}:{between}one latent at a time, the others as inferred from the start")
    return figure


def pendulum(walker: Walker, frames: int) -> np.ndarray:
    """Values (frames,) of a walk from the middle to both ends and back, slower at the ends; it closes on itself."""
    low, high = walker.network.traversal
    return (low + high) / 2 + (high - low) / 2 * np.sin(2 * np.pi * np.arange(frames) / frames)


def enlarged(image: np.ndarray) -> Image.Image:
    """An image (64, 64) in [0, 1] as a tile of the animation."""
    grey = np.round(image * (LEVELS - 1)) * (255 / (LEVELS - 1))
    return Image.fromarray(grey.astype(np.uint8)).resize((TILE, TILE), Image.Resampling.NEAREST)


def animate(walker: Walker, starts: np.ndarray, scale: str) -> list[Image.Image]:
    """The animation's frames: a row a start image (n, 512), a column a live latent, its value as a bead on a string."""
    codes, latents, values = walker.encode(starts), walker.live[:ROWS], pendulum(walker, FRAMES)
    walks = np.stack([walker.walk(code, latents, values) for code in codes])  # (starts, latents, frames, 64, 64)
    font, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (14, 11))
    gap, head, foot = 6, 46, 28
    step = TILE + gap
    below = head + step * len(starts)
    low, high = walker.network.traversal
    still = Image.new("L", (max(gap + step * (len(latents) + 1), 400), below + foot), 255)
    pen = ImageDraw.Draw(still)
    pen.text((gap, 4), f"{walker.title}, scale: {scale}", 0, font)
    pen.text((gap, below + 12), "one latent at a time, from " + " to ".join(walker.stops(2)), 90, small)
    for column, words in enumerate(["start", *map(walker.label, latents)]):
        pen.text((gap + step * column + TILE / 2, head - 4), words, 0, small, anchor="ms")
    for row, start in enumerate(shown_images(starts)):
        still.paste(enlarged(start), (gap, head + step * row))
    frames = []
    for number, value in enumerate(values):
        frame = still.copy()
        pen = ImageDraw.Draw(frame)
        for column in range(len(latents)):
            left, line = gap + step * (column + 1), below + 4
            for row in range(len(starts)):
                frame.paste(enlarged(walks[row, column, number]), (left, head + step * row))
            bead = left + (value - low) / (high - low) * TILE
            pen.line((left, line, left + TILE, line), 160)
            pen.ellipse((bead - 4, line - 4, bead + 4, line + 4), 0)
        frames.append(frame)
    return frames


def save_gif(frames: list[Image.Image], path: Path) -> None:
    """Write an animation without end."""
    with job.atomic(path) as part:
        frames[0].save(part, save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0, optimize=True)


def main(
    *,
    bits: Path,
    dataset: Path,
    model: Path,
    score: Path,
    summary: Path,
    png: Path,
    pdf: Path,
    gif: Path,
    scale: str,
) -> None:
    """Write sheet and animation of a model's best replica."""
    packed = open_bits(bits)
    starts = packed[start_images(open_grid(dataset))]
    walker, said = open_best(model, score, summary, packed)
    if walker is None:
        figure, axis = style.plt.subplots(figsize=(3.6, 1.2))
        say(axis, f"{title(model.stem)}: {ALL_DIVERGED}")
        style.save(figure, png, pdf, scale)
        save_gif([Image.new("L", (TILE, TILE), 255)], gif)
        return
    style.save(draw(walker, starts), png, pdf, scale, "; ".join([note({model.stem: said}), *walker.units]))
    save_gif(animate(walker, starts, scale), gif)
