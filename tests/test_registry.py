"""Registries: filled by a decorator, read as a mapping."""

import numpy as np
import pytest

from geomkit.core.errors import ConfigError
from geomkit.core.registry import Registry, only
from geomkit.measures.nulls import null_rows


@pytest.fixture
def shapes() -> Registry:
    registry: Registry = Registry("shape")

    @registry.register("square")
    def square(side):
        return side * side

    @registry.register("line")
    def line(side):
        return side

    return registry


def test_a_registered_function_is_found_by_its_name(shapes):
    assert shapes["square"](3) == 9


def test_the_decorator_hands_the_function_back():
    registry: Registry = Registry("shape")

    def point():
        return 0

    assert registry.register("point")(point) is point


def test_it_is_a_mapping_in_order_of_registration(shapes):
    assert list(shapes) == ["square", "line"]
    assert len(shapes) == 2
    assert [function(2) for function in shapes.values()] == [4, 2]
    assert "line" in shapes
    assert "circle" not in shapes


def test_an_unknown_name_is_a_config_error_that_lists_the_known_ones(shapes):
    with pytest.raises(ConfigError, match=r"unknown shape 'circle'; known: square, line"):
        shapes["circle"]


def test_a_name_cannot_be_registered_twice(shapes):
    with pytest.raises(ValueError, match="shape 'line' is registered twice"):
        shapes.register("line")(abs)
    assert shapes["line"](5) == 5


def test_registries_do_not_share_names(shapes):
    assert not Registry("colour")
    assert len(shapes) == 2


def test_a_job_uses_nothing_by_name_that_its_digest_does_not_count(shapes):
    """Else the job would not run again where it changes. Names and keywords can be asked for."""
    metals: Registry = Registry("metal", by_name=True)

    @metals.register("iron")
    def iron(*, heat=1):
        return heat

    with only(["iron"]):
        assert metals["iron"]() == 1
    with only([]):
        assert list(metals) == ["iron"]
        assert metals.keywords("iron") == {"heat"}
        assert shapes["square"](3) == 9
        with pytest.raises(ConfigError, match="metal 'iron' does not count in this job's digest"):
            metals["iron"]
        with pytest.raises(ConfigError, match="unknown metal 'tin'"):
            metals["tin"]
    assert metals["iron"]() == 1


def test_a_job_makes_no_null_that_its_digest_does_not_count():
    draw = np.random.default_rng(0)
    with only(["gaussian"]):
        assert null_rows("gaussian", 2, 3, draw).shape == (2, 3)
    with only(["shuffled"]), pytest.raises(ConfigError, match="null 'gaussian' does not count in this job's digest"):
        null_rows("gaussian", 2, 3, draw)
