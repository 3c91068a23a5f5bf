import shutil

import pytest

from betavae import digest

PACKAGE = digest.PACKAGE


def forget():
    for cached in (digest._syntax_tree, digest._code, digest._imports, digest.code_digest):
        cached.cache_clear()


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Edit a copy of the package: edit(module, old, new) replaces text that stands there once."""
    copy = tmp_path / "betavae"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest, "PACKAGE", copy)
    forget()

    def replace(module, old, new):
        path = copy / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        forget()

    yield replace
    forget()


def test_the_digest_is_12_hexadecimal_digits_and_stable():
    first = digest.code_digest("train", "vae")
    forget()
    assert digest.code_digest("train", "vae") == first
    assert len(first) == 12
    assert int(first, 16) >= 0


def test_steps_have_digests_of_their_own():
    assert len({digest.code_digest(step) for step in ("train", "encode", "score", "pca", "ica")}) == 5


def test_a_digest_covers_what_the_step_imports_and_what_that_imports():
    assert {"train", "vae", "stacked", "shapes", "images", "stream", "job"} <= set(digest.modules_of("train", "vae"))
    assert "ica" not in digest.modules_of("train")
    assert "pca" in digest.modules_of("ica")


def test_an_edited_comment_changes_nothing(edit):
    before = digest.code_digest("train", "vae")
    edit("shapes", "# no object at scale 1", "# nothing at scale 1")
    edit("train", "BLOCK = 256  # steps", "# Our own choice.\n\nBLOCK = 256  # training steps")
    assert digest.code_digest("train", "vae") == before


def test_an_edited_docstring_changes_nothing(edit):
    before = digest.code_digest("train", "vae")
    edit("shapes", '"""Whether the points (u, v) of the object\'s own frame lie in the square."""', '"""Square."""')
    edit("shapes", '"""Draw the 2D shapes', '"""Draw all the 2D shapes')
    edit("history", '"""Means of what the losses report', '"""Averages of what the losses report')
    assert digest.code_digest("train", "vae") == before


def test_a_docstring_taken_away_changes_nothing(edit):
    before = digest.code_digest("train", "vae")
    edit("history", '        """step (records,) and each loss (records, R, …)."""\n', "")
    assert digest.code_digest("train", "vae") == before


def test_a_changed_constant_in_an_imported_module_changes_the_digest(edit):
    before = {step: digest.code_digest(step) for step in ("train", "encode", "dataset", "figure6_left")}
    edit("shapes", "SQUARE_HALF_SIDE = 9.6", "SQUARE_HALF_SIDE = 9.7")
    changed = {step for step, old in before.items() if digest.code_digest(step) != old}
    assert {"train", "encode", "dataset"} <= changed
    assert "shapes" not in digest.modules_of("figure6_left")
    assert "figure6_left" not in changed


def test_an_edit_of_a_module_that_is_not_imported_changes_nothing(edit):
    before = digest.code_digest("train", "vae")
    edit("zdiff", "+= 1e-10", "+= 1e-9")
    assert digest.code_digest("train", "vae") == before


def test_a_modules_templates_are_part_of_its_code_and_of_no_others(tmp_path, monkeypatch):
    before = {step: digest.code_digest(step) for step in ("explore", "table_pages", "train")}
    monkeypatch.setattr(digest, "TEMPLATES", shutil.copytree(digest.TEMPLATES, tmp_path / "templates"))
    with (tmp_path / "templates" / "explore.js").open("a") as file:
        file.write("// more\n")
    forget()
    changed = {step: digest.code_digest(step) != old for step, old in before.items()}
    forget()
    assert changed == {"explore": True, "table_pages": False, "train": False}


def test_a_string_that_is_no_docstring_counts(edit):
    before = digest.code_digest("train", "vae")
    edit("train", '"training", block', '"practice", block')
    assert digest.code_digest("train", "vae") != before
