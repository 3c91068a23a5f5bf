"""The report: that it is whole, stands alone, and shows every figure and table in a browser."""

import base64
import io
import json
import re
import time

import pytest
from PIL import Image

from betavae.in_short import how_near, how_they_compare, listed, what_was_run
from betavae.names import FULL_SCALES
from betavae.table_pages import page as table_page
from browser import needs_browser, opened
from running import TINY, snakemake

PICTURES = {"figure5.png", "figure6_left.png", "figure6_right.png", "figure8.png", "figure9.png", "metrics.png"}
PICTURES |= {"choose_beta.png", "choose_beta_by_eye.png", "compare_beta1-beta4.png", "samples_infogan.png"}
TRAINED = ("beta4", "beta1", "dcign", "infogan")
PICTURES |= {f"{kind}_{model}.png" for kind in ("figure7", "traversal", "history") for model in TRAINED}
PICTURES |= {"figure2.png"} | {f"{kind}_standin_chairs_beta{b}.png" for kind in ("latents", "history") for b in (1, 5)}
ANIMATIONS = {f"traversal_{model}.gif" for model in TRAINED}
TABLES = {"figure6_left", "figure6_right", "figure8", "table1", "table2", "metrics", "stability", "dcign_factors"}
TABLES |= {"choose_beta", "choose_beta_few_labels", "choose_beta_by_eye", "samples_infogan"}
TABLES |= {"pictures_standin_chairs", "cost"}
TABLES |= {f"factors_{model}" for model in TRAINED}


def scored(model, mean, seeds=(), **settings):
    """A metric file's content: two replicas, 0.01 above and below the mean."""
    scores = [[replica, 0, mean + (0.01, -0.01)[replica]] for replica in (0, 1)]
    told = {"seeds": list(seeds), **settings} if settings else {}
    return {
        "model": model,
        "score_mean": mean,
        "score_std": 0.01,
        "scores": scores,
        "settings": {"representation": told},
    }


def test_the_run_in_short_says_what_was_run_how_it_compares_and_how_near_it_is():
    vae = {"steps": 4500, "batch": 64, "width": 128, "seeds": (0, 1)}
    scores = {"pca": scored("pca", 0.8549), "ica": scored("ica", 0.7299)}
    scores |= {"infogan": scored("infogan", 0.55, (0,), steps=2000, batch=16)}
    scores |= {"beta1": scored("beta1", 0.7105, **vae), "beta4": scored("beta4", 0.793, **vae)}
    assert what_was_run(scores, "laptop") == (
        "At the scale ``laptop`` the paper's metric scored β-VAE (4,500 steps of 64, 2 seeds, 128 units a layer), "
        "VAE (4,500 steps of 64, 2 seeds, 128 units a layer) and InfoGAN (2,000 steps of 16, 1 seed); "
        "beside them stand PCA and ICA."
    )
    assert how_they_compare(scores) == (
        "β-VAE comes to 79.30 ± 1 % (paper: 99.23 ± 0.1 %) and VAE comes to 71.05 ± 1 % (paper: 61.58 ± 0.5 %); "
        "β-VAE − VAE over all seeds: 8.3 ± 1.4 points (standard error)."
    )
    near = how_near(scores, "laptop")
    assert near.startswith("PCA comes within 2 points of the paper's mean, farthest from it is ICA (+31.0 points);")
    assert "``paper``" in near
    assert all("``paper``" not in how_near(scores, scale) for scale in FULL_SCALES)
    assert listed(["a"]) == "a"


def test_a_tables_page_has_caption_and_cells_and_takes_no_html_from_them():
    page = table_page("# Title `x`\n\nSaid.\n\n| a | b |\n|---|---|\n| 1 ± 2 | <b>&amp;</b> |\n", "name")
    assert "<h1>Title <code>x</code></h1>" in page
    assert "<td>1 ± 2</td>" in page
    assert "&lt;b&gt;" in page
    assert not re.search(r"(src|href)=", page)


@needs_browser
def test_a_tables_columns_sort_by_number_or_word_and_empty_cells_stay_last(tmp_path):
    rows = ["| b | 9.5 ± 3 |", "| a | 10.2 |", "| d |  |", "| c | −1 |"]
    (tmp_path / "t.html").write_text(
        table_page("\n".join(["| name | score |", "|---|---|", *rows]), "t"), encoding="utf-8"
    )
    with opened(tmp_path / "t.html") as page:

        def names_after_click(column):
            return page.run(
                "document.querySelectorAll('th button')[arguments[0]].click();"
                "return [...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent).join('')",
                column,
            )

        assert names_after_click(1) == "abcd"  # highest first
        assert names_after_click(1) == "cbad"
        assert names_after_click(0) == "dcba"
        assert page.run("return document.querySelectorAll('th')[0].ariaSort") == "descending"
        assert page.said() == page.asked() == []


@pytest.fixture(scope="module")
def report(finished):
    """The report of a whole run, made where no network answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        run = snakemake(finished, "--report", "results/report.html", "--configfile", str(TINY))
    assert run.returncode == 0, run.stdout + run.stderr
    return finished / "results" / "report.html"


def embedded(html, name):
    """A value of the report's script."""
    return json.loads(re.search(rf"var {name} = (.*);\n", html.split(f'<script id="{name.replace("_", "-")}">')[1])[1])


def test_the_report_holds_every_figure_table_and_animation_with_a_caption(report):
    results = embedded(report.read_text(encoding="utf-8"), "results")
    names = {path.rsplit("/", 1)[1] for path in results}
    assert names == PICTURES | ANIMATIONS | {f"{table}.html" for table in TABLES}
    assert [path for path, result in results.items() if "Look for" not in result["caption"]] == []
    assert [path for path, result in results.items() if "<strong>The paper" not in result["caption"]] == []
    assert [path for path, result in results.items() if "system-message" in result["caption"]] == []
    for path, result in results.items():
        raw = base64.b64decode(result["data_uri"].split("base64,")[1])
        if path.endswith(".gif"):
            assert Image.open(io.BytesIO(raw)).n_frames > 10
        if path.endswith(".html"):
            assert b"<table>" in raw


def test_the_reports_head_is_the_run_in_short(report, finished):
    head = embedded(report.read_text(encoding="utf-8"), "workflow_desc")
    words = re.sub(r"<[^>]+>|\s+", " ", head)
    assert "At the scale tiny the paper's metric scored" in re.sub(r"\s+", " ", words)
    assert (finished / "results/in_short.rst").read_text(encoding="utf-8").count("paper") >= 3
    assert "system-message" not in head


def test_every_job_took_some_time_for_the_axis_of_run_times_is_logarithmic(report):
    spec = re.search(r"var runtimes_spec = (.*);\n", report.read_text(encoding="utf-8"))[1]
    took = [job["runtime"] for job in json.loads(spec)["data"]["values"]]
    assert len(took) > 100
    assert min(took) > 0


@needs_browser
def test_in_a_browser_every_figure_has_a_size_animations_play_and_nothing_leaves_the_page(report):
    with opened(report) as page:
        page.driver.set_script_timeout(300)
        sizes = page.driver.execute_async_script(
            """const done = arguments[arguments.length - 1];
            const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
            const find = async (query, ready) => {
              for (let i = 0; i < 500; i++) {
                const element = [...document.querySelectorAll(query)].find(ready);
                if (element) return element;
                await soon();
              }
              return null;
            };
            const area = (element) => {
              const box = element?.getBoundingClientRect();
              return box && box.top >= 0 ? box.width * box.height : 0;
            };
            const loaded = (image, uri) => image.src === uri && image.complete && image.naturalWidth > 0;
            (async () => {
              const sizes = {};
              await find("head #tall", () => true);
              for (const [path, result] of Object.entries(results)) {
                if (result.mime_type.startsWith("image")) {
                  app.setView({ content: "img", contentPath: result.data_uri, resultPath: path });
                  sizes[path] = area(await find("img", (image) => loaded(image, result.data_uri)));
                } else {
                  app.setView({ content: "html", contentPath: result.data_uri, resultPath: path });
                  sizes[path] = area(await find("iframe", (frame) => frame.src === result.data_uri));
                }
              }
              for (const content of ["rulegraph", "stats"]) {
                app.setView({ content });
                sizes[content] = area(await find("canvas, svg.marks", area));
              }
              done(sizes);
            })();"""
        )
        assert len(sizes) == len(PICTURES | ANIMATIONS) + len(TABLES) + 2
        assert {path: size for path, size in sizes.items() if size < 10000} == {}

        path = next(path for path in sizes if path.endswith("traversal_beta4.gif"))
        page.run("app.setView({content: 'img', contentPath: results[arguments[0]].data_uri})", path)
        seen, until = set(), time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < until:
            seen.add(page.driver.get_screenshot_as_base64())
        assert len(seen) == 2  # it moves
        assert page.said("SEVERE") == page.asked() == []  # Snakemake's own scripts warn of their versions


@needs_browser
def test_the_explorer_of_a_run_draws_its_models(finished):
    with opened(finished / "results" / "explore.html") as page:
        pictures = page.run(
            "return panels.map((panel) => Array.from(panel.getContext('2d').getImageData(0, 0, 64, 64).data))"
        )
        assert [len(set(picture)) > 2 for picture in pictures] == [True, True]
        text = page.run("return document.body.innerText")
        assert "Scale tiny" in text
        assert "width 16, 40 steps of 16 images (Adam)" in text
        assert page.said() == page.asked() == []
