"""The page of a portrait: what a person sees and does in a browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from browser import Page, headless
from portraits import HOSTILE, comparison, portrait
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from geomkit.studies.portrait.page import page as page_of
from geomkit.studies.portrait.rows import facts_of
from geomkit.studies.portrait.run import portrait as measure_portrait

pytestmark = pytest.mark.browser

SMALL: dict[str, Any] = {"blocks": 3, "d": 24, "lengths": (48, 64), "texts": 12}
MARKS = "svg .mark-line path, svg .mark-rect path"
DRAWN = f"return [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('{MARKS}'))"
SETTLED = "return Promise.all(panels.flatMap((panel) => panel.drawings).map((drawing) => drawing.drawn))"
SECTION = "return [...document.querySelectorAll(arguments[0] + ' .plot')].map((plot) => plot.innerHTML).join()"
LINE = "return document.querySelector(arguments[0] + ' svg').outerHTML"


class Portrait(Page):
    """The page of a portrait, once all of its charts are drawn."""

    def load(self, state: str) -> None:
        super().load(state)
        WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(DRAWN))

    def picture(self, section: str) -> str:
        """The chart of a section as it is drawn, once it is."""
        self.driver.execute_script(SETTLED)
        return self.driver.execute_script(LINE, f"#{section}")

    def choose(self, switch: str, label: str) -> None:
        Select(self.find(f"#{switch}")[0]).select_by_visible_text(label)

    def click_token(self, position: int) -> None:
        (token,) = self.find(f'#tokens [data-position="{position}"]')
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", token)
        token.click()

    def title(self, section: str) -> str:
        return self.text(f"#{section} figcaption")

    def numbers(self, section: str) -> dict[str, list[str]]:
        """The table of numbers below a section's chart, opened: cells by the name of the line."""
        (details,) = self.find(f"#{section} details")[:1]
        if details.get_attribute("open") is None:
            details.find_element("css selector", "summary").click()
        self.driver.execute_script(SETTLED)
        find = f"#{section} details[open] tbody tr"
        lines = WebDriverWait(self.driver, 10).until(lambda driver: self.find(find))  # filled when it opens
        return {
            line.find_elements("css selector", "th")[0].text: [cell.text for cell in line.find_elements("css selector", "td")]
            for line in lines
        }


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """One headless Chromium for all tests."""
    yield from headless()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return portrait(**SMALL)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory, table: pa.Table) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("portraits")
    tables = {"one": table, "two": comparison(**SMALL), "bare": portrait(**SMALL, without=("spectrum", "sinks", "selection"))}
    for name, one in tables.items():
        (folder / f"{name}.html").write_text(page_of(one), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in tables}


@pytest.fixture
def page(chromium: webdriver.Chrome, addresses: dict[str, str]) -> Iterator[Portrait]:
    """The page of one model, freshly loaded. Whatever is done, it says and requests nothing."""
    page = Portrait(chromium, addresses["one"])
    yield page
    page.check_quiet()


def digits(value: float) -> str:
    """A number between .001 and 999, as the page writes it."""
    return f"{value:#.3g}".rstrip(".")


def value_of(table: pa.Table, **where: Any) -> dict[str, Any]:
    (row,) = [row for row in table.to_pylist() if all(row[name] == value for name, value in where.items())]
    return row


def test_the_page_has_its_sections_in_order_and_their_links(page):
    assert page.driver.title == page.text("h1") == "smollm2 on sotu"
    titles = [one.text for one in page.find("h2")]
    assert titles == [
        "In short",
        "Depth",
        "Spectra",
        "Similarity of layers",
        "Norms and sinks",
        "Intrinsic dimension",
        "Readout",
        "Tokens",
        "Where it stands",
        "What was measured",
    ]
    assert [one.text for one in page.find("nav a")] == titles
    for link in page.find("nav a"):
        assert page.find(link.get_attribute("href").partition("#")[2].join(("#", "")))
    assert "97.1 directions" in page.text("#short")
    assert page.text("pre").startswith("snakemake --cores 8")
    assert len(page.find(".plot svg")) == 16


def test_every_metric_normalisation_and_length_draws_another_chart(page):
    seen = {page.picture("depth")}
    assert page.title("depth") == "effective rank (directions), unit length, first 64 of each text"
    metrics = [option.text for option in Select(page.find("#depth-metric")[0]).options]
    for metric in metrics[1:]:
        page.choose("depth-metric", metric)
        seen.add(page.picture("depth"))
        assert page.title("depth").startswith(f"{metric}, ")
    for name in ("normalise", "tokens"):
        for button in page.find(f"#depth-{name} input")[1:]:
            button.click()
            seen.add(page.picture("depth"))
    assert len(seen) == len(metrics) + 1 + 2
    assert page.title("depth").endswith(", centred, unit length, all texts together")


def test_numbers_below_a_chart_are_the_table_s(page, table):
    where = {"section": "depth", "metric": "erank_covariance", "normalise": "unit", "n": 64, "scope": "text", "sinks": "with"}
    row = value_of(table, **where, variant="trained", place="2")
    shown = page.numbers("depth")
    assert list(shown) == [
        "embedding",
        "block 1",
        "block 2",
        "block 3, the last",
        "final norm, without its weights",
        "final norm",
    ]
    assert shown["block 2"][0] == f"{digits(row['value'])}\n{digits(row['low'])} to {digits(row['high'])}"
    page.find("#depth-tokens input")[1].click()
    row = value_of(table, **where | {"n": 48}, variant="trained", place="2")
    assert page.numbers("depth")["block 2"][0].startswith(digits(row["value"]))


def test_the_valley_of_each_variant_stands_under_depth(page):
    lines = [line.text.split() for line in page.find("#depth .scroll.open tbody tr")]
    assert lines[0] == ["trained", "unit", "length", "0.600", "0.550", "to", "0.650", "2", "1", "to", "3"]
    assert [line[0] for line in lines] == ["trained"] * 2 + ["tokens"] * 2 + ["untrained"] * 2


def test_lines_can_be_hidden_with_and_without_sinks_among_them(page):
    before = page.picture("depth")
    boxes = {box.get_attribute("value"): box for box in page.find("#depth .legend input")}
    assert list(boxes) == ["trained", "trained without", "shuffled", "untrained-0", "gaussian"]
    assert all(box.is_selected() for box in boxes.values())
    boxes["trained without"].click()
    after = page.picture("depth")
    assert after.count("mark-line") == before.count("mark-line") - 1
    assert len(page.numbers("depth")["block 2"]) == 4
    page.find("#depth .legend input")[1].click()
    assert page.picture("depth").count("mark-line") == before.count("mark-line")
    assert len(page.numbers("depth")["block 2"]) == 5


def test_switches_and_legend_work_with_the_keyboard(page):
    before = page.picture("depth")
    page.driver.execute_script("document.querySelector('#depth-metric').focus()")
    page.press(Keys.ARROW_DOWN)
    second = page.picture("depth")
    assert second != before
    page.press(Keys.TAB)
    page.press(Keys.ARROW_RIGHT)
    assert ", centred, unit length," in page.title("depth")
    page.press(Keys.TAB, Keys.ARROW_RIGHT)
    assert page.title("depth").endswith("first 48 of each text")
    page.press(Keys.TAB, Keys.SPACE)
    page.driver.execute_script(SETTLED)
    box = page.driver.switch_to.active_element
    assert (box.get_attribute("value"), box.is_selected()) == ("trained", False)
    page.press(Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
    WebDriverWait(page.driver, 10).until(lambda driver: page.find("#depth details[open] table"))  # filled when it opens


def test_every_state_has_a_spectrum_and_shares_of_its_own(page, table):
    assert page.title("spectra") == "block 3, the last, unit length, first 64 of each text"
    states = [option.text for option in Select(page.find("#spectra-state")[0]).options]
    seen = set()
    for state in states:
        page.choose("spectra-state", state)
        seen.add(page.picture("spectra") + page.find("#spectra .open")[0].get_attribute("innerHTML"))
    assert len(states) == len(seen) == 6
    page.choose("spectra-state", "block 1")
    where = {"section": "depth", "metric": "top_1_share", "normalise": "unit", "n": 64, "scope": "text", "sinks": "with"}
    row = value_of(table, **where, variant="untrained-0", place="1")
    line = page.find("#spectra .open tbody tr")[0]
    assert line.find_elements("css selector", "th")[0].text == "share of the first direction"
    assert digits(row["value"]) in line.text


def test_the_dimension_is_shown_at_each_scale_and_the_scale_at_each_state(page, table):
    assert page.title("dimension") == "one of each token, Gride (dimensions), neighbours 4 and 8"
    (checked, other) = page.find("#dimension-rows input")
    assert (checked.is_selected(), other.is_selected()) == (True, False)
    where = {"section": "dimension", "metric": "gride", "rank": 8, "variant": "same-covariance"}
    row = value_of(table, **where, place="2")
    shown = page.numbers("dimension")
    assert shown["block 2"][-1] == f"{digits(row['value'])}\n{digits(row['low'])} to {digits(row['high'])}"
    before = page.picture("dimension")
    page.choose("dimension-scale", "neighbours 8 and 16")
    assert page.picture("dimension") != before
    other.click()
    assert page.title("dimension").startswith("all sampled tokens")
    assert len(page.numbers("dimension")["block 2"]) == 3  # Gaussian rows are no null of tokens that recur
    page.choose("dimension-state", "block 1")
    page.find("#dimension details")[1].find_element("css selector", "summary").click()
    page.driver.execute_script(SETTLED)
    lines = page.find("#dimension figure:last-of-type details[open] tbody th")
    assert [one.text for one in lines if one.text.isdigit()] == ["2", "4", "8", "16", "32"]


def test_the_pointer_gets_the_numbers_with_their_interval_and_counts(page, table):
    page.driver.execute_script("document.querySelector('#depth .plot').scrollIntoView({block: 'center'})")
    plot = page.find("#depth .plot svg")[0]
    chain = ActionChains(page.driver)
    chain.move_to_element_with_offset(plot, 30 - plot.size["width"] // 2, 0).move_by_offset(4, 3).perform()
    WebDriverWait(page.driver, 10).until(lambda _: page.find("#tip")[0].is_displayed())
    where = {"section": "depth", "metric": "erank_covariance", "normalise": "unit", "n": 64, "scope": "text", "sinks": "with"}
    row = value_of(table, **where, variant="trained", place="embedding")
    text = page.text("#tip")
    assert text.startswith("embedding\n")
    assert f"{digits(row['value'])} {digits(row['low'])} to {digits(row['high'])}" in text
    assert text.endswith("64 tokens, 24 dimensions, 12 texts, 12 documents")
    assert "independent Gaussian rows" in text
    ActionChains(page.driver).move_to_element(page.find("h2")[1]).perform()
    WebDriverWait(page.driver, 10).until(lambda _: not page.find("#tip")[0].is_displayed())


def test_a_cell_of_a_heat_map_says_its_states_its_interval_and_its_null(page, table):
    cells = page.find("#similarity .charts figure:first-child .mark-rect path")
    assert len(cells) == 2 * 6 * 7 / 2
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", cells[1])
    page.driver.execute_script(SETTLED)
    ActionChains(page.driver).move_to_element(cells[5]).move_to_element(
        cells[1]
    ).perform()  # a pointer that is there does not enter
    WebDriverWait(page.driver, 10).until(lambda _: page.find("#tip")[0].is_displayed())
    row = value_of(table, section="similarity", metric="cka", variant="trained", place="embedding", other_place="1")
    text = page.text("#tip")
    assert text.startswith("embedding and block 1\n")
    assert f"{digits(row['value'])} {digits(row['low'])} to {digits(row['high'])}" in text
    assert text.endswith("null 0.0200, 1000 tokens, 40 documents")


def test_heat_maps_switch_their_measure_and_have_a_table(page, table):
    before, head = page.picture("similarity"), page.title("similarity")
    assert head == "CKA (debiased, linear), sampled tokens, trained"
    page.driver.execute_script("document.querySelector('#similarity-metric input:checked').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.picture("similarity") != before
    assert page.title("similarity") == "shared nearest neighbours, sampled tokens, trained"
    lines = page.find("#similarity details")
    lines[1].find_element("css selector", "summary").click()
    page.driver.execute_script(SETTLED)
    found = [line.text for line in page.find("#similarity details[open] tbody tr")]
    assert len(found) == 6 * 7 / 2
    row = value_of(table, section="similarity", metric="mutual_neighbours", variant="untrained-0", place="1", other_place="last")
    assert any(line.startswith(f"block 1 block 3, the last {digits(row['value'])}") and "null 0.0200" in line for line in found)


def test_words_show_gain_or_surprisal_and_what_lasso_chose(page, table):
    page.click_token(7)
    gain = value_of(table, section="tokens", text=0, position=7, metric="gain")["value"]
    surprisal = value_of(table, section="tokens", text=0, position=7, metric="surprisal")["value"]
    assert f"gain {digits(gain)} nats" in page.text("#tokens .numbers")
    assert f"surprisal {digits(surprisal)} nats" in page.text("#tokens .numbers")
    chosen = {row["past"] for row in table.to_pylist() if (row["section"], row["text"], row["position"]) == ("selection", 0, 7)}
    assert {int(one.get_attribute("data-position")) for one in page.find("#tokens .token.chosen")} == chosen
    page.press(Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element.get_attribute("data-position") == "8"
    assert page.find("#tokens .token.chosen") == []
    page.press(Keys.HOME)
    assert page.driver.switch_to.active_element.get_attribute("data-position") == "0"
    page.press(Keys.ARROW_DOWN, Keys.END)
    before = [one.get_attribute("data-step") for one in page.find("#tokens .token")]
    page.find('#tokens-view input[value="surprisal"]')[0].click()
    assert [one.get_attribute("data-step") for one in page.find("#tokens .token")] != before


def test_hostile_tokens_are_shown_and_harmless(page):
    page.choose("tokens-text", "<i>hostile</i> tokens")
    shown = [one.text for one in page.find("#tokens .token")[: len(HOSTILE)]]
    assert shown == ["</script><b>", "<!--", "U+2028", '"', "&lt;", "¶¶", "∅", "U+202E", "␣"]
    assert len(page.find("script")) == 3
    assert page.find("#tokens .token b, #tokens i:not(.scale i)") == []
    assert "</script><b>" in page.text("#norms")


def test_where_it_stands_names_models_and_widths(page):
    shown = page.numbers("standing")
    assert "smollm2" in shown
    assert shown["smollm2"][0] != ""
    assert len(page.find("#standing details[open] tbody tr")) == 1 + 9 + 9 - 1


def test_absent_sections_say_so(chromium, addresses):
    page = Portrait(chromium, addresses["bare"])
    assert page.text("#spectra .absent") == "Absent: this run left it out."
    assert "None: this run left it out." in page.text("#norms")
    assert "Lasso’s selection is absent: this run left it out." in page.text("#tokens")
    page.click_token(7)
    assert "Lasso" not in page.text("#tokens .numbers")
    page.check_quiet()


def test_a_comparison_draws_the_difference_and_both_models_with_one_set_of_switches(chromium, addresses):
    page = Portrait(chromium, addresses["two"])
    heads = ["In short", "Depth", "Similarity of states", "Intrinsic dimension", "Readout", "Loss", "What was measured"]
    assert [one.text for one in page.find("h2")] == heads
    assert [one.text for one in page.find("#depth figcaption")] == ["smollm2-tuned minus smollm2", "Both models"]
    before = [plot.get_attribute("innerHTML") for plot in page.find("#depth .plot")]
    page.choose("depth-metric", "matrix entropy (nats)")
    page.driver.execute_script(SETTLED)
    after = [plot.get_attribute("innerHTML") for plot in page.find("#depth .plot")]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert "smollm2-tuned, trained" in page.text("#loss")
    page.check_quiet()


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_at_either_width(chromium, addresses, name, width):
    page = Portrait(chromium, addresses[name])
    page.emulate("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    page.load("")
    assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    wide = (
        "return [...document.querySelectorAll('.plot')].map((plot) => [plot.clientWidth, plot.querySelector('svg').clientWidth])"
    )
    for room, taken in page.driver.execute_script(wide):
        assert room - 30 <= taken <= room
    page.check_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_paint_the_axes_in_the_page_s_colours(page, scheme):
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    read = """const [axis, ground] = [document.querySelector('#depth .mark-text text'), document.body]
    return [getComputedStyle(axis).fill, getComputedStyle(ground).backgroundColor]"""
    ink, ground = ([int(part) for part in one[4:-1].split(",")] for one in page.driver.execute_script(read))
    assert (sum(ground) > sum(ink)) == (scheme == "light")
    assert abs(sum(ground) - sum(ink)) > 250


def test_it_prints_in_light_colours_without_its_switches(page):
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.emulate("Emulation.setEmulatedMedia", media="print", features=features)
    assert not any(one.is_displayed() for one in page.find("nav, .switches, summary"))
    assert all(one.is_displayed() for one in page.find("h2, figcaption, .plot svg"))
    assert page.driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 252)"
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert len(printed["data"]) > 20_000


@pytest.mark.slow
def test_a_page_as_large_as_smollm2_s_opens(chromium, tmp_path):
    (tmp_path / "large.html").write_text(page_of(portrait()), encoding="utf-8")
    page = Portrait(chromium, (tmp_path / "large.html").as_uri())
    assert len(page.find(".plot svg")) == 16
    page.choose("depth-metric", "share of the first direction")
    assert page.title("depth").startswith("share of the first direction")
    page.check_quiet()


@pytest.fixture(scope="module")
def measured(tiny, tmp_path_factory) -> tuple[pa.Table, str]:
    """The table of a tiny model that ran, and the address of its page."""
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["fog", "lamp", "quay", "café", "<b>", "rope"], 30)) for _ in range(24)]
    own = measure_portrait(tiny("llama"), texts, count=24, length=24, lengths=(8, 24), device="cpu", name="tiny")
    path = own.save(tmp_path_factory.mktemp("measured") / "tiny.html")
    return own.table, path.as_uri()


@pytest.mark.slow
def test_a_model_that_ran_has_its_numbers_and_words_on_the_page(chromium, measured):
    table, address = measured
    page, facts = Portrait(chromium, address), facts_of(table)
    assert [one.text for one in page.find("#short li")] == list(facts.sentences)
    shown = dict(
        zip((one.text for one in page.find("#measured dt")), (one.text for one in page.find("#measured dd")), strict=True)
    )
    assert {name: shown[name] for name, _ in facts.measured} == {name: " ".join(value.split()) for name, value in facts.measured}
    where = {"section": "depth", "metric": "erank_covariance", "normalise": "unit", "scope": "text", "n": 24}
    rows = [row for row in table.to_pylist() if all(row[name] == value for name, value in where.items())]
    states = list(dict.fromkeys(row["depth"] for row in sorted(rows, key=lambda row: row["depth"])))
    page.find('#depth-normalise input[value="unit"]')[0].click()
    cells = page.numbers("depth")
    assert len(cells) == len(states) == 5
    lines = [("trained", "with"), ("trained", "without"), ("shuffled", "with"), ("untrained-0", "with"), ("gaussian", "with")]
    measured_lines = [line for line in lines if any((row["variant"], row["sinks"]) == line for row in rows)]
    for depth, line in zip(states, cells.values(), strict=True):
        at_state = {(row["variant"], row["sinks"]): row for row in rows if row["depth"] == depth}
        assert line == [in_cell(at_state[one]) if one in at_state else "" for one in measured_lines]
    counts = {row["variant"]: (row["texts"], row["documents"]) for row in rows if row["sinks"] == "with"}
    assert counts == {"trained": (24, 24), "shuffled": (12, 12), "untrained-0": (12, 12), "gaussian": (None, None)}
    assert shown["nulls of the model"] == "12 of these texts, 12 documents"
    page.check_quiet()


def in_cell(row: dict[str, Any]) -> str:
    """A value with its interval, as the table of numbers has it."""
    ends = "" if row["low"] is None else f"\n{digits(row['low'])} to {digits(row['high'])}"
    return digits(row["value"]) + ends


@pytest.mark.slow
def test_every_switch_of_a_model_that_ran_draws_by_pointer_and_by_keyboard_and_prints(chromium, measured):
    page = Portrait(chromium, measured[1])
    for section in ("depth", "spectra", "norms", "tokens"):
        for choice in page.find(f"#{section} select"):
            for option in Select(choice).options:
                option.click()
                page.driver.execute_script(SETTLED)
        for button in page.find(f"#{section} .switches input, #{section} fieldset input"):
            page.driver.execute_script("arguments[0].click()", button)
            page.driver.execute_script(SETTLED)
        for place in range(min(2, len(page.find(f"#{section} .legend input")))):
            before = page.driver.execute_script(SECTION, f"#{section}")
            page.driver.execute_script(
                "document.querySelectorAll(arguments[0])[arguments[1]].click()", f"#{section} .legend input", place
            )
            page.driver.execute_script(SETTLED)
            assert page.driver.execute_script(SECTION, f"#{section}") != before
    page.load("")
    reached = set()
    for _ in range(60):
        page.press(Keys.TAB)
        here = page.driver.switch_to.active_element
        reached.add((here.tag_name, here.get_attribute("type") or here.get_attribute("name")))
    assert {("select", "select-one"), ("input", "radio"), ("input", "checkbox")} <= reached
    assert any(tag == "summary" for tag, _ in reached)
    assert len(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]) > 20_000
    page.check_quiet()
