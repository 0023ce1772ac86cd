"""The library as a notebook uses it."""

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hidden import hiding

import geomkit

ROOT = Path(__file__).parents[1]


def modules_after(code: str) -> set[str]:
    """Packages that a new interpreter holds after a line of code."""
    command = f"import sys, json; sys.path.insert(0, {str(ROOT / 'lib')!r}); {code}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_library_loads_nothing_else():
    assert not {"numpy", "scipy", "torch", "transformers", "sklearn", "h5py"} & modules_after("import geomkit")


@pytest.mark.parametrize("name", geomkit.__all__)
def test_each_name_is_that_of_its_module(name):
    assert getattr(geomkit, name).__module__ == f"geomkit.{geomkit.HOMES[name]}"


@pytest.mark.slow
def test_all_names_together_load_no_torch_and_open_no_file():
    arrays = [name for name in geomkit.__all__ if name not in ("portrait", "compare", "GeometryCallback")]
    loaded = modules_after(f"import geomkit; [getattr(geomkit, name) for name in {arrays}]")
    assert "scipy" in loaded
    assert not {"torch", "transformers", "h5py"} & loaded


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(AttributeError, match="no attribute 'entropy'; it has normalise, spectrum, measure"):
        geomkit.entropy  # noqa: B018


def test_names_are_listed():
    assert set(geomkit.__all__) <= set(dir(geomkit))


def test_the_page_of_the_library_has_every_name():
    page = (ROOT / "docs/library.md").read_text()
    assert [name for name in geomkit.__all__ if not re.search(rf"geomkit\.{name}\b|`{name}`", page)] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_examples_in_the_docs_give_what_they_say(page):
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


@pytest.mark.slow
def test_where_only_numpy_and_scipy_are_installed_every_name_works_and_lasso_paths_are_the_same():
    hidden = ("numba", "sklearn", "h5py", "pyarrow", "tqdm", "yaml", "jsonschema", "matplotlib", "torch", "transformers")
    code = """
import json
import numpy as np
import geomkit
Z = geomkit.normalise(np.random.default_rng(0).standard_normal((24, 8)), "unit")
geomkit.measure(geomkit.spectrum(Z)), geomkit.information_gain(Z), geomkit.fit
paths = geomkit.lasso_paths(Z @ Z.T, [20, 23], 0, [1, 2, 4])
"""
    hide = f"{hiding(hidden)}\nsys.path.insert(0, {str(ROOT / 'lib')!r})\n"
    show = "print(json.dumps([[path.indices.tolist(), path.weights.tolist()] for path in paths]))"
    done = subprocess.run([sys.executable, "-c", hide + code + show], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict = {}
    exec(code, found)
    for (indices, weights), path in zip(json.loads(done.stdout), found["paths"], strict=True):
        assert indices == path.indices.tolist()
        assert np.allclose(weights, path.weights, rtol=1e-12, atol=1e-12)
