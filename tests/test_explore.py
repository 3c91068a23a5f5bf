"""The page to play with: which latent stands on which slider, and in a browser that it draws what PyTorch draws."""

import base64
import copy
import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from betavae import explore
from betavae.factor_shares import SHARES
from betavae.images import unpack
from betavae.stacked import initialise
from betavae.vae import VAE
from betavae.walk import Walker
from browser import needs_browser, opened


def row(latent, counted, factor, share):
    """A row of a factor table, as read from CSV."""
    shares = {name: f"{share if name == factor else 0.01:.4f}" for name in SHARES}
    return {
        "latent": str(latent),
        "counted as": counted,
        "factor": factor,
        "share": str(share),
        "KL (nats)": "1.5",
    } | shares


def shown(width, seed, followed, latents=10):
    """A model of the page with random weights, large enough to draw something."""
    network = VAE(1, width, latents)
    initialise(network, [seed])
    with torch.no_grad():
        for layer in explore.layers(network):
            layer[0][...] *= 2
    walker = Walker(f"model {seed}, replica 0", network.eval(), np.arange(latents, dtype=float))
    signs = {factor: np.where(np.arange(latents) % 2, -1, 1) for factor in explore.ORDERED}
    return explore.Shown(walker.title, "trained so", "scored so", walker, followed, signs)


@pytest.fixture(scope="module")
def models():
    """Two models whose latents follow the factors differently."""
    one = [row(0, "dead", "posX", 0.2), row(1, "position", "posX", 0.7), row(2, "position", "posX", 0.9)]
    one += [row(3, "mixed", "scale", 0.5)]
    other = [row(0, "position", "posX", 0.8), row(1, "scale", "scale", 0.95), row(2, "mixed", "shape", 0.4)]
    return [shown(128, 4, one), shown(128, 1, other)]


def content_of(html):
    return json.loads(re.search(r'<script id="content" type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def test_latents_that_follow_the_same_factor_share_a_slider_the_purest_first_and_silent_ones_come_last(models):
    found = [
        (slider["factor"], [cell and cell["latent"] for cell in slider["cells"]]) for slider in explore.sliders(models)
    ]
    assert found == [("posX", [2, 0]), ("posX", [1, None]), ("scale", [3, 1]), ("shape", [None, 2]), (None, [0, None])]


def test_a_slider_of_position_or_scale_points_the_same_way_for_all_models(models):
    sliders = explore.sliders(models)
    assert [[cell and cell["sign"] for cell in slider["cells"]] for slider in sliders[:4]] == [
        [1, 1],
        [-1, None],
        [-1, -1],
        [None, 1],  # more or less shape is nothing
    ]


def test_directions_are_the_signs_of_the_codes_slopes(grid, bits):
    network = VAE(1, 8, 4)
    with torch.no_grad():  # means of the columns' and rows' numbers, and the same with a minus
        columns = torch.arange(64.0).repeat(64) / 2000
        rows = torch.arange(64.0).repeat_interleave(64) / 2000
        network.encoder[0].weight[0, :, :3] = torch.stack([columns, rows, torch.full((4096,), 1 / 2000)], 1)
        network.encoder[2].weight[0, :3, :3] = torch.eye(3)
        network.encoder[4].weight[0, :3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    found = explore.directions(Walker("", network, np.ones(4)), grid, bits)
    assert (found["posX"][0], found["posY"][1], found["scale"][2]) == (1, -1, -1)


def test_examples_are_images_of_every_shape_and_all_different(grid, bits):
    numbers = explore.example_images(grid)
    assert len(numbers) == len(set(numbers)) == 3 * len(explore.EXAMPLES)
    assert sorted(set(grid.classes(numbers)[:, 0])) == [0, 1, 2]


@pytest.fixture(scope="module")
def wide(models):
    """The same at the paper's width."""
    return [shown(1200, seed, model.followed) for seed, model in enumerate(models)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory, models, wide, bits):
    """The pages of both, by width, as files."""
    folder = tmp_path_factory.mktemp("explore")
    for width, those in ((128, models), (1200, wide)):
        (folder / f"{width}.html").write_text(explore.page(those, bits[:12], f"width {width}"), encoding="utf-8")
    return {width: folder / f"{width}.html" for width in (128, 1200)}


def test_weights_are_precise_in_a_small_page_and_halved_at_the_papers_width_within_50_mb(pages, wide):
    assert content_of(pages[128].read_text(encoding="utf-8"))["bytes"] == 4
    assert pages[128].stat().st_size <= 15e6
    content = content_of(pages[1200].read_text(encoding="utf-8"))
    assert content["bytes"] == 2
    assert pages[1200].stat().st_size <= 50e6
    assert content["models"][0]["sizes"] == [10, 1200, 1200, 1200, 4096]
    raw = np.frombuffer(base64.b64decode(content["models"][0]["weights"]), "<f2")
    weight, bias = explore.layers(wide[0].walker.network)[-1]
    assert np.array_equal(raw[-4096 - weight.size : -4096].reshape(weight.shape), weight.astype("<f2"))
    assert np.array_equal(raw[-4096:], bias.astype("<f2"))


def test_where_all_replicas_diverged_the_page_says_so_and_shows_the_other(models, bits):
    lost = explore.Shown("β-VAE: all replicas diverged", "trained so", "scored so", None, [], {})
    page = explore.page([lost, models[1]], bits[:2], "laptop")
    content = content_of(page)
    assert content["models"][0]["sizes"] == []
    assert "all replicas diverged" in page
    assert [slider["cells"][0] for slider in content["sliders"]] == [None] * 3


def halved(model):
    """The model with the weights that a page of half precision holds."""
    network = copy.deepcopy(model.walker.network)
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.copy_(parameter.half().float())
    return dataclasses.replace(model.walker, network=network)


@needs_browser
@pytest.mark.parametrize("width", [128, 1200])
def test_the_page_draws_what_pytorch_draws_at_the_default_width_twenty_times_a_second(pages, models, wide, width):
    walkers = [model.walker for model in models] if width == 128 else [halved(model) for model in wide]
    codes = np.random.default_rng(0).standard_normal((2, 10)).astype(np.float32)
    with opened(pages[width]) as page:
        for number, walker in enumerate(walkers):
            asked = walker.generate(codes).reshape(len(codes), -1)
            assert asked.std() > 0.05  # something is drawn
            for code, image in zip(codes, asked, strict=True):
                drawn = page.run("return Array.from(decode(...arguments))", number, list(map(float, code)))
                assert np.abs(np.array(drawn) - image).max() <= 1e-3
        # The fastest of some: other programs of the machine are not the page's.
        seconds = page.run(
            """const times = [];
            for (let i = 0; i < 8; i++) {
              const start = performance.now();
              redraw();
              times.push(performance.now() - start);
            }
            return Math.min(...times) / 1000;"""
        )
        assert 1 / seconds >= (20 if width == 128 else 1)
        assert page.said() == page.asked() == []


@needs_browser
def test_sliders_move_both_models_from_the_chosen_image_and_the_keyboard_and_reset_work(tmp_path, pages, models, bits):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    codes = [model.walker.encode(bits[:12]) for model in models]

    def now(page):
        return [np.array(page.run("return codesOf(arguments[0])", model)) for model in (0, 1)]

    with opened(pages[128]) as page:

        def press(button):  # wherever it has been scrolled to
            page.run("arguments[0].click()", button)

        thumbs = page.driver.find_elements(By.CSS_SELECTOR, "#examples button")
        assert len(thumbs) == 12 + 2
        press(thumbs[3])
        for found, own in zip(now(page), codes, strict=True):
            assert found == pytest.approx(own[3], abs=1e-3)
        shown_pixels = page.run("return Array.from(start.getContext('2d').getImageData(0, 0, 64, 64).data)")
        assert np.array_equal(np.array(shown_pixels).reshape(4096, 4)[:, 0], 255 * unpack(bits[3]))

        slider = page.driver.find_element(By.ID, "slider0")  # posX: latent 2 of the first model, 0 of the second
        slider.send_keys(Keys.END)
        moved = now(page)
        assert [moved[0][2], moved[1][0]] == [3, 3]
        assert np.delete(moved[0], 2) == pytest.approx(np.delete(codes[0][3], 2), abs=1e-3)
        slider.send_keys(Keys.HOME)
        assert [now(page)[0][2], now(page)[1][0]] == [-3, -3]
        page.driver.find_element(By.ID, "slider1").send_keys(Keys.END)  # its direction is turned
        assert now(page)[0][1] == -3

        press(page.driver.find_element(By.ID, "reset"))
        for found, own in zip(now(page), codes, strict=True):
            assert found == pytest.approx(own[3], abs=1e-3)
        press(thumbs[12])
        assert np.array_equal(now(page)[0], np.zeros(10))
        press(thumbs[13])
        one, other = now(page)
        assert np.array_equal(one, other)
        assert one.std() > 0
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        page.picture(tmp_path / "phone.png", 390, 844)
        assert page.run("return document.documentElement.scrollWidth") <= 390
        assert page.said() == page.asked() == []
