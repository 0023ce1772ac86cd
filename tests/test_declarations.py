"""What is read from the source is what is there once the modules are imported, and reading it takes no numpy."""

import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colors, markers

from geomkit.core import config, variants
from geomkit.core.catalogue import declared_by_kind
from geomkit.core.declarations import LIBRARY, declared, described
from geomkit.core.errors import ConfigError
from geomkit.core.variants import VARIANTS, Variant
from geomkit.figures.style import DRAWN, NULLS, PROJECTIONS, QUANTITIES, name_of, unit_of
from geomkit.laws import forms
from geomkit.measures import entropy, nulls, selection, spectra
from geomkit.sources import corpora, fetch
from geomkit.sources import imported as states

ROOT = Path(__file__).parents[1]
REGISTRIES = [
    ("geomkit.measures.entropy", "metrics", entropy.metrics),
    ("geomkit.measures.spectra", "modes", spectra.modes),
    ("geomkit.measures.selection", "selectors", selection.selectors),
    ("geomkit.sources.corpora", "readers", corpora.readers),
    ("geomkit.sources.fetch", "model_sources", fetch.model_sources),
    ("geomkit.sources.fetch", "corpus_sources", fetch.corpus_sources),
    ("geomkit.sources.imported", "layouts", states.layouts),
    ("geomkit.core.config", "places", config.places),
    ("geomkit.laws.forms", "forms", forms.forms),
]


@pytest.mark.parametrize(("module", "name", "registry"), REGISTRIES, ids=[name for _, name, _ in REGISTRIES])
def test_names_in_the_source_are_those_of_the_imported_registry(module, name, registry):
    found = described(module, f"{name}.register")
    assert list(found) == list(registry)
    assert {one: found[one].facts for one in found} == registry.facts
    assert {one: found[one].function for one in found} == {one: function.__name__ for one, function in registry.items()}


def test_every_kind_of_name_has_declarations():
    assert all(declared_by_kind().values())
    assert set(declared_by_kind()["metric"]) == set(entropy.metrics)
    assert set(declared_by_kind()["model source"]) == {*config.places, *fetch.model_sources}


def test_parsing_the_workflow_loads_nothing_that_computes():
    """The import statements of the rules, in an interpreter of their own."""
    rules = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    imports = re.findall(r"^from geomkit.*$", rules, flags=re.MULTILINE)
    assert len(imports) > 3
    code = "\n".join([*imports, "declared_by_kind()", "import json, sys", "print(json.dumps(list(sys.modules)))"])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "pyarrow", "h5py", "torch", "transformers", "sklearn"} & set(json.loads(done.stdout))


# declarations


def module(folder: Path, text: str) -> Path:
    (folder / "geomkit").mkdir()
    (folder / "geomkit/shapes.py").write_text(text)
    return folder


def test_a_declaration_has_facts_and_the_functions_own_keys(tmp_path):
    text = """
@shapes.register("square", label="a square", sides=4)
@other.register("quadrilateral")
def square(n, *, side, angle=90.0):
    return n

@shapes.register("line")
def line(n, power=2): ...

@other.register("nothing")
def nothing(): ...
"""
    found = described("geomkit.shapes", "shapes.register", module(tmp_path, text))
    assert list(found) == ["square", "line"]
    square = found["square"]
    assert (square.facts, square.function, square.keys, square.required) == (
        {"label": "a square", "sides": 4},
        "square",
        ("side", "angle"),
        ("side",),
    )
    assert (found["line"].facts, found["line"].keys) == ({}, ())
    assert declared("geomkit.shapes", "shapes.register", tmp_path)["square"] == replace(square, facts={"sides": 4})


@pytest.mark.parametrize(
    ("decorator", "message"),
    [
        ("@shapes.register(NAME)", "line 2: a declaration takes one name and keywords, all literals: shapes.register\\(NAME\\)"),
        ('@shapes.register("a", "b")', "line 2: a declaration takes one name"),
        ('@shapes.register("a", label=LABEL)', "line 2: a declaration takes one name"),
        ('@shapes.register("a", **FACTS)', "line 2: a declaration takes one name"),
        ("@shapes.register(3)", "line 2: a declaration takes one name"),
        ('@shapes.register("a")\n@shapes.register("a")', "'a' is declared twice"),
    ],
)
def test_what_is_not_literal_is_refused_with_its_line(tmp_path, decorator, message):
    folder = module(tmp_path, f"\n{decorator}\ndef f(): ...\n")
    with pytest.raises(ConfigError, match=rf"shapes\.py.*{message}"):
        described("geomkit.shapes", "shapes.register", folder)


# variants


def test_every_declared_variant_has_a_constructor_that_can_be_imported_and_is_read():
    """A declaration in a module that is not read would be lost."""
    for one in VARIANTS.values():
        assert callable(getattr(importlib.import_module(one.module), one.function))
    found = {
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        for path in LIBRARY.rglob("*.py")
        if re.search(r"^@variant\(", path.read_text(), flags=re.MULTILINE)
    }
    assert found == {one.module for one in VARIANTS.values()} == {one.module for one in DRAWN.values()}


def test_every_null_has_a_look_of_its_own():
    looks = NULLS | PROJECTIONS
    assert set(looks) == set(VARIANTS) - {"trained"}
    assert len({look.marker for look in looks.values()}) == len({look.short for look in looks.values()}) == len(looks)
    for look in looks.values():
        assert look.marker in markers.MarkerStyle.markers
        assert colors.is_color_like(look.colour)


def test_a_configuration_chooses_nulls_that_run_or_are_drawn():
    chosen = {"nulls": ["gaussian", "untrained", "shuffled"], "untrained_seeds": 2}
    assert variants.runs(chosen) == ["trained", "shuffled", "untrained-0", "untrained-1"]
    assert variants.drawn(chosen) == ["gaussian"]
    assert variants.runs({"nulls": []}) == ["trained"]
    assert variants.drawn({"nulls": ["shuffled"]}) == []
    assert set(variants.nulls()) == {one.name for one in VARIANTS.values() if one.kind in ("model", "rows")} - {"trained"}


def test_projections_of_tokens_are_declared_and_no_verdict_asks_for_them():
    names = [one.name for one in variants.by_kind("tokens")]
    assert sorted(names) == sorted(PROJECTIONS) == ["common-dimension", "projected", "random-projection"]
    assert variants.WIDTH_NULLS == ("fixed-spectrum", "stretched")
    assert not set(names) & {*variants.nulls(), *NULLS}


def test_a_number_belongs_to_variants_that_are_made_several_times():
    assert variants.base("untrained-12") == "untrained"
    for name in ("trained", "untrained", "fixed-spectrum", "gaussian-1", "untrained-x", "something-1"):
        assert variants.base(name) == name


def test_a_variant_is_made_by_its_constructor():
    drawn = nulls.null_rows("gaussian", 3, 4, np.random.default_rng(7))
    np.testing.assert_array_equal(drawn, np.random.default_rng(7).standard_normal((3, 4)))


def test_a_new_null_of_a_family_is_measured_with_the_others(monkeypatch):
    flat = Variant("flat", "family", "test_declarations", "flat_spectrum")
    monkeypatch.setitem(VARIANTS, "flat", flat)
    family = [spectra.Spectrum(np.array([3.0, 1.0])[:m], 8, m) for m in (1, 2)]
    found = nulls.width_nulls(family, [1, 2])
    assert [list(one) for one in found] == [["fixed-spectrum", "stretched", "flat"]] * 2
    np.testing.assert_array_equal(found[1]["flat"].eigenvalues, [2, 2])


def flat_spectrum(family, like):
    return spectra.Spectrum(np.full(like.m, like.trace / like.m), like.n, like.d)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"kind": "file"}, "unknown kind 'file'"),
        ({"knd": "rows"}, "knd"),
        ({}, "kind"),
        ({"kind": "rows", "width": True}, "family"),
    ],
)
def test_a_declaration_of_a_variant_is_checked(facts, message):
    one = replace(next(iter(DRAWN.values())), facts=facts)
    with pytest.raises(ConfigError, match=rf"variant 'fixed-spectrum' in geomkit\.measures\.nulls.*{message}"):
        variants.from_declaration(one)


# names and units


def test_every_metric_and_quantity_has_a_name_and_a_unit():
    for name, one in QUANTITIES.items():
        assert (name_of(name), unit_of(name)) == (one.facts["label"], one.facts["unit"])
    assert set(entropy.metrics) <= set(QUANTITIES)
    assert (name_of("something"), unit_of("something")) == ("something", "something")
