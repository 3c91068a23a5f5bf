import numpy as np
import pytest

from betavae.curriculum import ALL, window


def test_a_quarter_of_forty_values_grows_from_the_middle_to_all_of_them():
    growth = {"share": 0.25, "from": 100, "to": 300}
    first, count = window(range(0, 400), 40, growth)
    assert [(first[step], count[step]) for step in (0, 100, 200, 299, 300, 399)] == [
        (15, 10),
        (15, 10),
        (7, 25),
        (0, 40),
        (0, 40),
        (0, 40),
    ]
    assert (np.diff(count) >= 0).all()
    assert (first + count <= 40).all()


def test_at_least_one_value_is_there():
    first, count = window(range(2), 32, {"share": 0.01, "from": 0, "to": 1000})
    assert first.tolist() == [15, 15]
    assert count.tolist() == [1, 1]


def test_values_may_all_appear_at_once():
    count = window(range(5), 8, {"share": 0.5, "from": 2, "to": 2})[1]
    assert count.tolist() == [4, 4, 8, 8, 8]


def test_without_growth_all_values_are_there_from_the_first_step():
    first, count = window(range(3), 40, ALL)
    assert first.tolist() == [0, 0, 0]
    assert count.tolist() == [40, 40, 40]


@pytest.mark.parametrize("start", [0, 256, 511])
def test_what_a_step_draws_from_follows_from_its_number_alone(start):
    growth = {"share": 0.1, "from": 90, "to": 700}
    whole, part = window(range(1024), 32, growth), window(range(start, 1024), 32, growth)
    for ours, theirs in zip(part, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs[start:])
