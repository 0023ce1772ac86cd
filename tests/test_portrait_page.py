"""The page of a portrait: its numbers are the table's, and nothing in the table breaks it."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest
from portraits import HOSTILE, LABELS, VARIANTS, comparison, portrait

from geomkit.studies.portrait import rows
from geomkit.studies.portrait.page import content, page, write_page
from geomkit.studies.portrait.rows import facts_of, with_facts

SMALL: dict[str, Any] = {"blocks": 3, "d": 24, "lengths": (48, 64), "texts": 12}


@pytest.fixture(scope="module")
def small() -> pa.Table:
    return portrait(**SMALL)


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of the page."""
    (section,) = [one for one in found["sections"] if one["id"] == name]
    return section


def shown(panel: dict[str, Any], number: int = 0) -> list[dict[str, str]]:
    """Rows of a panel's chart, with the values of the switches in place of the number of their view."""
    names = [one["name"] for one in panel["switches"]]
    found = csv.DictReader(io.StringIO(panel["charts"][number]["csv"]))
    return [{**row, **dict(zip(names, panel["views"][int(row["view"])], strict=True))} for row in found]


def of_section(table: pa.Table, section: str) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["section"] == section]


def five(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def test_every_number_along_depth_is_the_table_s(small):
    drawn = shown(part(content(small), "depth")["panels"][0])
    found = {}
    for row in drawn:
        key = tuple(row[name] for name in ("metric", "normalise", "tokens", "series", "place"))
        assert key not in found
        found[key] = [row[name] for name in ("value", "low", "high", "bound", "n", "d", "texts", "documents")]
    words = {
        "embedding": "embedding",
        "last": "block 3, the last",
        "plain": "final norm, without its weights",
        "final": "final norm",
    }
    expected = {}
    for row in of_section(small, "depth"):
        tokens = "corpus" if row["scope"] == "corpus" else str(row["n"])
        series = row["variant"] + (" without" if row["sinks"] == "without" else "")
        numbers = [five(row[name]) for name in ("value", "low", "high", "bound")]
        numbers += [str(row[name]) for name in ("n", "d", "texts", "documents")]
        for place in [row["place"]] if row["place"] else ["embedding", "1", "2", "last", "plain", "final"]:
            key = (row["metric"], row["normalise"], tokens, series, words.get(place, f"block {place}"))
            expected[key] = numbers
    assert found == expected


def test_drawn_rows_have_one_level_at_every_state(small):
    drawn = [row for row in shown(part(content(small), "depth")["panels"][0]) if row["series"] == "gaussian"]
    levels: dict[tuple[str, ...], set[str]] = {}
    for row in drawn:
        levels.setdefault((row["metric"], row["normalise"], row["tokens"]), set()).add(row["value"])
    assert len(levels) == len(LABELS) * 2 * 3
    assert {len(values) for values in levels.values()} == {1}
    assert len({row["x"] for row in drawn}) == 6


def test_spectra_are_the_table_s_with_the_edge_for_each_shape(small):
    panel = part(content(small), "spectra")["panels"][0]
    drawn = {(row["state"], row["normalise"], row["tokens"], row["series"], row["rank"]): row["value"] for row in shown(panel)}
    number = {place: str(at) for at, place in enumerate(("embedding", "1", "2", "last", "plain", "final"))}
    rows_of = of_section(small, "spectrum")
    assert rows_of
    for row in rows_of:
        series = "edge" if row["metric"] else row["variant"]
        rank = "" if row["rank"] is None else str(row["rank"])
        for state in [number[row["place"]]] if row["place"] else number.values():
            assert drawn.pop((state, row["normalise"], str(row["n"]), series, rank)) == five(row["value"])
    assert drawn == {}


def test_spectra_open_on_the_last_block(small):
    state = part(content(small), "spectra")["panels"][0]["switches"][0]
    assert dict(state["options"])[state["start"]] == "block 3, the last"


def test_shares_of_leading_directions_are_those_of_the_same_view(small):
    panel = part(content(small), "spectra")["panels"][0]
    drawn = shown(panel, 1)
    first = "share of the first direction"
    (found,) = [
        row["value"]
        for row in drawn
        if (row["metric"], row["series"], row["state"], row["normalise"], row["tokens"]) == (first, "trained", "3", "unit", "64")
    ]
    (row,) = [
        row
        for row in of_section(small, "depth")
        if (row["metric"], row["variant"], row["place"], row["normalise"], row["n"], row["scope"], row["sinks"])
        == ("top_1_share", "trained", "last", "unit", 64, "text", "with")
    ]
    assert found == five(row["value"])


def test_norms_sinks_tokens_and_losses_are_the_table_s(small):
    found = content(small)
    norms = {(row["series"], row["place"]): row["value"] for row in shown(part(found, "norms")["panels"][0])}
    median = [row for row in of_section(small, "norms") if row["metric"] == "norm_median"]
    assert [norms["norm_median", "block 1"]] == [five(row["value"]) for row in median if row["place"] == "1"]
    assert part(found, "norms")["sinks"][0] == [0, "Fellow", 40.0, 40, 318.2, 12]
    assert [one[1] for one in part(found, "norms")["sinks"]] == ["Fellow", ".", HOSTILE[0]]
    for number, text in enumerate(part(found, "tokens")["texts"]):
        mine = [row for row in of_section(small, "tokens") if row["text"] == number]
        gains = [row for row in mine if row["metric"] == "gain"]
        assert text["tokens"] == [row["token"] for row in gains]
        assert text["gain"] == pytest.approx([row["value"] for row in gains], rel=1e-5)
        assert text["surprisal"][0] is None
        chosen = [row for row in of_section(small, "selection") if (row["text"], row["position"]) == (number, 4)]
        assert text["chosen"][4] == [row["past"] for row in sorted(chosen, key=lambda row: row["rank"])]
    losses = {(who, metric): numbers for who, metric, *numbers in part(found, "tokens")["losses"]}
    (row,) = [row for row in of_section(small, "loss") if (row["variant"], row["metric"]) == ("shuffled", "loss")]
    expected = [row[name] for name in ("value", "low", "high", "bound")]
    assert losses["tokens shuffled", "loss"] == pytest.approx(expected, rel=1e-5)


def test_dimensions_are_the_table_s_along_depth_and_against_the_scale(small):
    section = part(content(small), "dimension")
    along, against = (shown(panel) for panel in section["panels"])
    estimates = [row for row in of_section(small, "dimension") if row["rank"]]
    words = {
        "embedding": "embedding",
        "last": "block 3, the last",
        "plain": "final norm, without its weights",
        "final": "final norm",
    }
    keys = ("rows", "estimator", "scale", "series", "place")
    drawn = {tuple(row[name] for name in keys): [row[name] for name in ("value", "low", "high")] for row in along}
    assert len(drawn) == len(estimates)
    for row in estimates:
        place = words.get(row["place"], f"block {row['place']}")
        numbers = drawn[row["scope"], row["metric"], str(row["rank"]), row["variant"], place]
        assert numbers == [five(row[name]) for name in ("value", "low", "high")]
    number = {place: str(at) for at, place in enumerate(("embedding", "1", "2", "last", "plain", "final"))}
    seen = {(row["cloud"], row["state"], row["series"], row["scale"]): row["value"] for row in against}
    gride = [row for row in estimates if row["metric"] == "gride"]
    assert len(seen) == len(gride)
    for row in gride:
        assert seen[row["scope"], number[row["place"]], row["variant"], str(row["rank"])] == five(row["value"])
    first = section["panels"][0]
    assert [one["start"] for one in first["switches"]] == ["types", "gride", "8"]
    assert first["caption"].endswith("Equal rows count once: of 984 rows, 600 equal an earlier one at the embedding.")


def test_the_difference_of_dimensions_is_the_table_s():
    table = comparison(**SMALL)
    (panel,) = part(content(table), "dimension")["panels"]
    difference, both = shown(panel), shown(panel, 1)
    rows_of = [row for row in of_section(table, "dimension") if row["rank"]]
    assert len(difference) == len([row for row in rows_of if row["variant"] is None]) > 0
    assert len(both) == 2 * len(difference)
    values = {(row["rows"], row["estimator"], row["scale"], row["place"]): row["value"] for row in difference}
    (row,) = [row for row in rows_of if (row["variant"], row["place"], row["scope"], row["rank"]) == (None, "2", "types", 16)]
    assert values["types", "gride", "16", "block 2"] == five(row["value"])


def test_the_valley_of_each_variant_is_the_table_s(small):
    rows = of_section(small, "valley")
    found = part(content(small), "depth")["valley"]
    assert len(found) == len(rows) / 2 == 6
    assert found[0] == ["trained", "unit length", [0.6, 0.55, 0.65], [2.0, 1.0, 3.0]]
    assert [one[0] for one in found] == [VARIANTS[name] for name in ("trained", "shuffled", "untrained-0") for _ in range(2)]
    assert part(content(portrait(**SMALL, without=("valley",))), "depth")["valley"] == []


def test_the_model_stands_among_the_reference_models_at_the_same_n(small):
    drawn = shown(part(content(small), "standing")["panels"][0])
    here = [row for row in drawn if row["series"] == "here"]
    assert {row["tokens"] for row in here} == {"64"}
    assert len(here) == len(LABELS) * 2
    assert {row["model"] for row in drawn if row["series"] == "width"} == {"ladder-256-s0"}
    assert len({row["model"] for row in drawn if row["series"] == "reference"}) == 9


def test_variants_differ_in_colour_and_in_dash(small):
    series = part(content(small), "depth")["panels"][0]["charts"][0]["series"]
    assert [one["name"] for one in series] == ["trained", "trained without", *list(VARIANTS)[1:]]
    assert len({one["colour"] for one in series}) == len(series)
    assert len({tuple(one["dash"]) for one in series}) == len(series)
    assert all(re.fullmatch("#[0-9a-fA-F]{6}", one["colour"]) for one in series)


@pytest.mark.parametrize(
    ("needs", "section"),
    [
        ("depth", "depth"),
        ("spectrum", "spectra"),
        ("similarity", "similarity"),
        ("norms", "norms"),
        ("dimension", "dimension"),
        ("readout", "readout"),
        ("tokens", "tokens"),
        ("reference", "standing"),
    ],
)
def test_a_section_without_rows_says_why(needs, section):
    found = content(portrait(**SMALL, without=(needs,)))
    order = ["short", "depth", "spectra", "similarity", "norms", "dimension", "readout", "tokens", "standing", "measured"]
    assert [one["id"] for one in found["sections"]] == order
    assert part(found, section)["absent"] == "this run left it out"
    assert not part(found, section).get("panels")
    assert [needs, "this run left it out"] in part(found, "measured")["absences"]


def test_what_a_section_shows_beside_its_rows_may_be_missing(small):
    found = content(portrait(**SMALL, without=("sinks", "selection", "loss", "width")))
    assert (part(found, "norms")["sinks"], part(found, "norms")["nosinks"]) == ([], "this run left it out")
    assert part(found, "tokens")["noselection"] == "this run left it out"
    assert part(found, "tokens")["losses"] == []
    assert {row["series"] for row in shown(part(found, "standing")["panels"][0])} == {"here", "reference"}
    assert "absent" not in part(content(small), "depth")


def test_a_comparison_shows_differences_with_both_bands_and_both_models():
    table = comparison(**SMALL)
    found = content(table)
    order = ["short", "depth", "similarity", "dimension", "readout", "loss", "measured"]
    assert [one["id"] for one in found["sections"]] == order
    panel = part(found, "depth")["panels"][0]
    names = ("value", "low", "high", "band_low", "band_high")
    drawn = {
        (row["metric"], row["normalise"], row["tokens"], row["place"]): [row[name] for name in names] for row in shown(panel)
    }
    expected = of_section(table, "difference")
    assert len(drawn) == len(expected) == 6 * 2 * 2 * len(LABELS)
    for row in expected:
        if row["place"] == "last":
            key = (row["metric"], row["normalise"], str(row["n"]), "block 3, the last")
            assert drawn[key] == [five(row[name]) for name in names]
    assert {row["series"] for row in shown(panel, 1)} == {"smollm2", "smollm2-tuned"}
    assert {who for who, *_ in part(found, "loss")["losses"]} >= {"smollm2, trained", "smollm2-tuned, trained"}
    assert part(content(comparison(**SMALL, without=("difference",))), "depth")["absent"] == "this run left it out"


def test_every_pair_of_states_is_in_the_heat_maps_of_the_model_and_its_twin(small):
    panel = part(content(small), "similarity")["panels"][0]
    assert [one["name"] for one in panel["switches"]] == ["metric", "rows"]
    expected = of_section(small, "similarity")
    assert len(expected) == 2 * 2 * 6 * 7 / 2
    drawn = {}
    for number, variant in enumerate(("trained", "untrained-0")):
        assert [one["name"] for one in panel["charts"][number]["series"]] == [variant]
        for row in shown(panel, number):
            key = (row["metric"], variant, row["place"], row["other"])
            drawn[key] = [row[name] for name in ("value", "low", "high", "null", "n", "documents")]
            assert 0 <= int(float(row["x"])) <= int(float(row["y"])) <= 5
    assert len(drawn) == len(expected)
    for row in expected:
        if (row["place"], row["other_place"]) == ("1", "last"):
            numbers = [*(five(row[name]) for name in ("value", "low", "high", "null")), str(row["n"]), str(row["documents"])]
            assert drawn[row["metric"], row["variant"], "block 1", "block 3, the last"] == numbers


def test_two_models_are_compared_state_by_state_and_at_equal_depth():
    table = comparison(**SMALL)
    panel = part(content(table), "similarity")["panels"][0]
    pairs, curve = shown(panel), shown(panel, 1)
    assert len(pairs) == len(of_section(table, "similarity")) == 2 * 6 * 7
    assert panel["charts"][0]["axis"].startswith("smollm2: ")
    assert panel["charts"][0]["other_axis"].startswith("smollm2-tuned: ")
    # three blocks beside four: the embedding, blocks 1, 3 and 4, and both final states
    assert [(row["place"], row["other"]) for row in curve if row["metric"] == "cka"] == [
        ("embedding", "embedding"),
        ("block 1", "block 1"),
        ("block 2", "block 3"),
        ("block 3, the last", "block 4, the last"),
        ("final norm, without its weights", "final norm, without its weights"),
        ("final norm", "final norm"),
    ]


def test_sinks_and_readout_show_the_table_s_numbers_with_their_nulls(small):
    found = content(small)
    panel = part(found, "norms")["panels"][0]
    titles = [chart["title"] for chart in panel["charts"]]
    on_sinks = shown(panel, titles.index("Attention to sinks, mean over heads, first 64 tokens"))
    for row in of_section(small, "attention"):
        if row["metric"] == "attention_sinks" and row["place"] == "last":
            (drawn,) = [one for one in on_sinks if (one["series"], one["x"]) == (row["variant"], "3")]
            assert [drawn[name] for name in ("value", "low", "high")] == [five(row[name]) for name in ("value", "low", "high")]
    by_block = shown(panel, titles.index("Sinks by block"))
    assert {row["series"] for row in by_block} >= {"attention_sinks", "norm_ratio", "sink_share", "erank_covariance without"}
    together = shown(panel, titles.index("What comes together over 3 blocks"))
    first = "unit length: attention to sinks with the effective rank"
    assert {row["series"]: row["value"] for row in together if row["metric"] == first} == {"value": "-0.9", "shifts": "-0.4"}
    lens = part(found, "readout")["panels"][0]
    assert "Effective rank of the unembedding, trained: 16.8 of 24 directions." in lens["caption"]
    loss = shown(lens, 1)
    assert {row["series"] for row in loss} == {"trained", "untrained-0", "uniform"}
    assert {row["value"] for row in loss if row["series"] == "uniform"} == {"10.803"}
    without = content(portrait(**SMALL, without=("attention",)))
    assert "Attention is absent: this run left it out." in part(without, "norms")["panels"][0]["caption"]


class Tags(HTMLParser):
    """Tags of a page, and the text of its script of data."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = dict(attrs).get("id") == "data"

    def handle_data(self, data: str) -> None:
        self.data += data if self.inside else ""


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


def test_no_text_of_the_table_becomes_markup(small):
    facts = facts_of(small)
    markup = "</script><img src=x onerror=alert(1)>"
    facts = replace(
        facts,
        sentences=(*facts.sentences, markup),
        texts=(*facts.texts, markup),
        measured=(*facts.measured, ("<b>name</b>", "{{ bundle }}")),
        labels={**facts.labels, "erank_covariance": ("</script><script>alert(1)</script>", "<!--")},
        variants={**facts.variants, "shuffled": "'; alert(1); //<svg/onload=alert(1)>"},
    )
    hostile, plain = parsed(page(with_facts(small, facts))), parsed(page(small))
    assert hostile.tags == plain.tags
    assert hostile.tags.count("script") == 3
    found = json.loads(hostile.data)
    assert part(found, "short")["sentences"] == list(facts.sentences)
    assert part(found, "measured")["facts"][-1] == ["<b>name</b>", "{{ bundle }}"]
    assert part(found, "tokens")["texts"][1]["tokens"][: len(HOSTILE)] == HOSTILE


def test_the_page_names_no_address_to_load_and_forbids_all(small):
    text = re.sub(r"<script>.*?</script>", "", page(small), count=1, flags=re.DOTALL)
    assert not re.search(r"@import|url\(|\bsrc=", text)
    assert "default-src 'none'" in text
    assert "unsafe-eval" not in text


@pytest.mark.slow
def test_a_page_as_large_as_smollm2_s_is_under_four_megabytes_and_its_bytes_are_the_same_again(tmp_path):
    table = portrait()
    assert table.num_rows > 20_000
    rows.write(table, tmp_path / "sotu.parquet", tmp_path / "sotu.csv")
    for name in ("one.html", "two.html"):
        write_page(tmp_path / "sotu.parquet", tmp_path / name)
    assert (tmp_path / "one.html").stat().st_size < 4_000_000
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize("made", [portrait, comparison])
def test_every_point_along_depth_is_on_the_axis_that_its_chart_draws(made):
    charts = [chart for one in content(made())["sections"] for panel in one.get("panels", ()) for chart in panel["charts"]]
    along = [chart for chart in charts if chart["ticks"]]
    assert len(along) >= 2
    for chart in along:
        places = {float(row["x"]) for row in csv.DictReader(io.StringIO(chart["csv"]))}
        ends = [x for x, _ in chart["ticks"]]
        assert min(ends) <= min(places) <= 1, chart["title"]  # attention begins at the first block
        assert max(places) == pytest.approx(max(ends)), chart["title"]
