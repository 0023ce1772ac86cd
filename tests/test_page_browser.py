"""The page of tokens: what a person sees and does in a browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import Page, headless
from page_sample import LIBERTY, METHODS, ODD, PLAIN, STRANGE, TEMPLATE, sample
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from geomkit.studies.tokens.page import tokens_page

pytestmark = pytest.mark.browser

SHADES = """return [...document.querySelectorAll(".token")].map((token) => {
    const [bar] = getComputedStyle(token).backgroundSize.split(",")
    return [Number(token.dataset.step), token.dataset.step > 0 ? parseFloat(bar.split(" ")[1]) : 0]
})"""
WIDTHS = """return [...document.querySelectorAll(".token")].map((token) => {
    token.focus()
    return [innerWidth, document.documentElement.scrollWidth]
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """One headless Chromium for all tests."""
    yield from headless()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "tokens.html"
    path.write_text(tokens_page(TEMPLATE, sample()))
    return path.as_uri()


class TokensPage(Page):
    """The page of tokens."""

    def choose(self, chooser: str, label: str) -> None:
        Select(self.find(f"#{chooser}")[0]).select_by_visible_text(label)

    def chosen(self) -> dict[str, str]:
        """What each chooser that can be seen says."""
        seen = [element for element in self.find("select") if element.is_displayed()]
        return {element.get_attribute("id"): Select(element).first_selected_option.text for element in seen}

    def focus(self, position: int) -> None:
        self.driver.execute_script("arguments[0].focus()", self.token(position))

    def token(self, position: int) -> WebElement:
        return self.find(f'[data-position="{position}"]')[0]

    def shades(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each token: its step of lightness, and the height of its bar in pixels."""
        steps, bars = zip(*self.driver.execute_script(SHADES), strict=True)
        return np.array(steps), np.array(bars)

    def after(self, steps: str) -> str:
        """The numbers that are read out after these keys."""
        self.press(steps)
        return self.text("#numbers")


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> Iterator[TokensPage]:
    """The page, freshly loaded. Whatever is done, it says nothing to the console and asks the network for nothing."""
    page = TokensPage(chromium, address)
    yield page
    page.check_quiet()


def expected(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Steps and bars that values should have: in proportion to the greatest, 12 pixels high, and never under one."""
    share = np.abs(np.nan_to_num(values)) / np.nanmax(np.abs(values))
    return np.ceil(5 * share - 1e-3), np.where(share > 0, np.maximum(12 * share, 1), 0)


def assert_shows(page: TokensPage, values: Any) -> None:
    steps, bars = page.shades()
    expected_steps, expected_bars = expected(values)
    np.testing.assert_allclose(bars, expected_bars, atol=0.02)
    np.testing.assert_array_equal(steps, expected_steps)


def test_page_opens_on_the_information_gain_of_the_first_text(page):
    text = sample()["texts"][0]
    assert page.driver.title == page.text("h1") == "Tokens and their context"
    assert page.text("#note").startswith("Two models of the ladder")
    assert page.chosen() == {"text": PLAIN, "layer": "2 (middle)", "view": "information gain"}
    assert len(page.find(".token")) == 100
    assert "".join(token.text for token in page.find(".token")[:4]) == "Fellowcitizens:the"
    assert page.text("#tokens").startswith("Fellow citizens: the harbour")
    gain = text["layers"][0]["gain"]
    assert_shows(page, gain)
    assert page.shades()[1].argmax() == gain.argmax()
    assert f"sum {gain.sum():.3g} nats, greatest {gain.max():.3g} at {gain.argmax()} “" in page.text("#summary")


def test_legend_gives_the_scale_in_numbers(page):
    greatest = sample()["texts"][0]["layers"][0]["gain"].max()
    labels = [item.text for item in page.find("#legend ol li")]
    assert labels == ["0 nats", *(f"≤ {greatest * step / 5:#.3g}" for step in range(1, 6))]
    steps = [cell.get_attribute("data-step") for cell in page.find("#legend ol .cell")]
    assert steps == list("012345")


def test_another_layer_and_another_text_show_their_own_numbers(page):
    page.choose("layer", "4 (last)")
    assert_shows(page, sample()["texts"][0]["layers"][1]["gain"])
    page.choose("text", STRANGE)
    assert page.chosen() == {"text": STRANGE, "layer": "4 (last)", "view": "information gain"}
    assert len(page.find(".token")) == 15
    assert_shows(page, sample()["texts"][1]["layers"][1]["gain"])


def test_surprisal_that_is_not_known_is_not_drawn(page):
    surprisal = sample()["texts"][0]["surprisal"]
    page.choose("view", "surprisal")
    assert_shows(page, surprisal)
    assert f"mean {np.nanmean(surprisal):.3g} nats" in page.text("#summary")
    page.focus(0)
    assert "surprisal – nats" in page.text("#numbers")


def test_a_method_shades_the_context_of_the_target_and_underlines_what_it_chose(page):
    assert not page.find("#target-chooser")[0].is_displayed()
    page.choose("view", "lasso")
    page.choose("target", "39 “liberty”")
    target = sample()["texts"][0]["layers"][0]["targets"][1]
    assert_shows(page, np.append(target["weights"]["lasso"], np.zeros(100 - LIBERTY)))
    decoration = "return getComputedStyle(arguments[0]).textDecorationLine"
    words = [page.driver.execute_script(decoration, word) for word in page.find(".token .word")]
    assert np.flatnonzero(np.array(words) == "underline").tolist() == sorted(target["chosen"]["lasso"])
    assert page.text("#summary").startswith("lasso, target 39 “liberty”, 8 tokens chosen: ")
    assert page.text("#summary").endswith("KL 0.310 nats")
    page.choose("view", "attention_mean")
    assert page.chosen()["target"] == "39 “liberty”"
    assert page.text("#summary").endswith("KL – nats")


def test_signs_are_told_without_colour(page):
    page.choose("view", "lasso")
    weights = sample()["texts"][0]["layers"][0]["targets"][0]["weights"]["lasso"]
    images = "return [...document.querySelectorAll('.token')].map((token) => getComputedStyle(token).backgroundImage)"
    hatched = [image.startswith("repeating") for image in page.driver.execute_script(images)]
    assert np.flatnonzero(hatched).tolist() == np.flatnonzero(weights < 0).tolist() != []
    assert "negative" in page.text("#legend")
    page.choose("view", "attention_mean")
    assert "negative" not in page.text("#legend")


def test_the_target_is_marked_by_outline_and_label(page):
    page.choose("view", "recency")
    page.choose("target", "39 “liberty”")
    (target,) = page.find(".target.token")
    assert target.get_attribute("data-position") == "39"
    assert target.get_attribute("aria-label") == "liberty, target"
    assert target.text.split() == ["target", "liberty"]
    assert target.value_of_css_property("box-shadow") != "none"
    assert [token.get_attribute("aria-label") for token in page.find(".chosen.token")][-1] == ";, chosen"
    assert len(page.find(".token.after")) == 60


def test_views_are_the_methods_of_the_data(page):
    views = Select(page.find("#view")[0]).options
    assert [view.text for view in views] == ["information gain", "surprisal", *METHODS]


def test_every_chooser_has_a_label(page):
    page.choose("view", "lasso")
    assert [chooser.accessible_name for chooser in page.find("select")] == ["Text", "Layer", "View", "Target"]


def test_keys_move_in_the_text_and_the_numbers_are_read_out(page):
    layer = sample()["texts"][0]["layers"][0]
    surprisal = sample()["texts"][0]["surprisal"]
    page.choose("view", "lasso")
    page.choose("target", "39 “liberty”")
    (region,) = page.find("#numbers")
    assert (region.get_attribute("aria-live"), region.aria_role) == ("polite", "status")
    page.press(Keys.TAB)
    assert "39 “liberty”" in region.text
    assert "the target" in region.text
    page.press(Keys.ARROW_LEFT)
    assert "38 “;”" in region.text
    assert f"gain {layer['gain'][38]:#.3g} nats" in region.text
    assert f"surprisal {surprisal[38]:#.3g} nats" in region.text
    assert "lasso weight" in region.text
    assert "99 “.”" in page.after(Keys.END)
    assert "after the target" in region.text
    assert "99 “.”" in page.after(Keys.ARROW_RIGHT)
    assert "0 “Fellow”" in page.after(Keys.HOME)
    assert "0 “Fellow”" in page.after(Keys.ARROW_LEFT)
    assert "1 “citizens”" in page.after(Keys.ARROW_RIGHT)


def test_one_token_alone_is_reached_by_tab(page):
    page.focus(7)
    page.press(Keys.ARROW_RIGHT)
    (reached,) = page.find('.token[tabindex="0"]')
    (selected,) = page.find('.token[aria-selected="true"]')
    assert reached == selected == page.driver.switch_to.active_element == page.token(8)


def test_a_click_tells_a_token_s_numbers(page):
    target = sample()["texts"][0]["layers"][0]["targets"][0]
    page.choose("view", "lasso")
    position = int(np.argmax(target["weights"]["lasso"]))
    page.token(position).click()
    assert f"lasso weight {target['weights']['lasso'].max():#.3g}, chosen" in page.text("#numbers")


def test_the_token_stays_with_another_view_and_goes_with_another_text(page):
    page.focus(20)
    page.choose("view", "surprisal")
    assert "20 “all”" in page.text("#numbers")
    assert page.token(20).get_attribute("aria-selected") == "true"
    page.choose("text", STRANGE)
    assert page.text("#numbers").startswith("Click a token")
    assert page.find('.token[aria-selected="true"]') == []


def test_up_and_down_go_to_the_nearest_token_of_the_next_line(page):
    page.focus(5)
    page.press(Keys.ARROW_DOWN)
    middle = "const box = arguments[0].getBoundingClientRect(); return [(box.left + box.right) / 2, box.top]"
    (x, y), (start, top) = (page.driver.execute_script(middle, page.token(place)) for place in (current(page), 5))
    assert y > top
    others = [page.driver.execute_script(middle, token) for token in page.find(".token")]
    assert abs(x - start) == min(abs(other - start) for other, height in others if height == y)
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert page.driver.execute_script(middle, page.token(current(page)))[1] == top


def current(page: TokensPage) -> int:
    return int(page.driver.switch_to.active_element.get_attribute("data-position"))


def test_the_address_restores_a_view(page):
    page.choose("layer", "4 (last)")
    page.choose("view", "ridge")
    page.choose("target", "98 “time”")
    seen, state = page.chosen(), page.driver.current_url.removeprefix(page.address)
    assert state.startswith("#text=ladder-128-s0")
    page.load("")
    assert page.chosen() != seen
    page.load(state)
    assert page.chosen() == seen == {"text": PLAIN, "layer": "4 (last)", "view": "ridge", "target": "98 “time”"}
    page.driver.execute_script("location.hash = 'view=surprisal'")
    assert page.chosen() == {"text": PLAIN, "layer": "2 (middle)", "view": "surprisal"}


def test_an_address_that_names_nothing_shows_the_first_of_all(page):
    page.load("#text=none&layer=99&view=magic&target=-1")
    assert page.chosen() == {"text": PLAIN, "layer": "2 (middle)", "view": "information gain"}


def test_odd_tokens_are_shown_and_harmless(page):
    page.choose("text", STRANGE)
    shown = [token.text for token in page.find(".token")[: len(ODD)]]
    markup = ODD[0].replace(" ", "␣")
    assert shown == [markup, "¶¶", "␣", "U+200B", "\ufffd", "U+0007", "∅", "◌\u0301", "U+202E", "U+D83D"]
    assert page.driver.title == "Tokens and their context"
    assert len(page.find("script")) == 2
    assert len(page.find("#tokens br")) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (None, "–"),
        (0.31, "0.310"),
        (-12.345, "−12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (12345, "12300"),
        (0.0012345, "0.00123"),
        (0.00012345, "1.23e−4"),
    ],
)
def test_numbers_have_three_digits(page, value, text):
    assert page.driver.execute_script("return digits(arguments[0])", value) == text


@pytest.mark.parametrize("text", [PLAIN, STRANGE])
@pytest.mark.parametrize("view", ["information gain", "lasso"])
def test_nothing_overflows_a_narrow_screen(page, text, view):
    page.emulate("Emulation.setDeviceMetricsOverride", width=375, height=700, deviceScaleFactor=1, mobile=True)
    page.choose("text", text)
    page.choose("view", view)
    widths = page.driver.execute_script(WIDTHS)
    assert len(widths) == (100 if text == PLAIN else 15)
    assert set(map(tuple, widths)) == {(375, 375)}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_can_be_read(page, scheme):
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    names = ["page", "panel", "text", "muted", "bar", "target", *(f"step-{step}" for step in range(1, 6))]
    read = "return getComputedStyle(document.documentElement).getPropertyValue(`--${arguments[0]}`)"
    colour = {name: page.driver.execute_script(read, name) for name in names}
    assert (luminance(colour["page"]) > 0.5) == (scheme == "light")
    steps = [luminance(colour[name]) for name in ("page", *names[6:])]
    assert steps == sorted(steps, reverse=scheme == "light")
    for ground in ("page", *names[6:]):
        assert contrast(colour["text"], colour[ground]) >= 4.5, ground
    for ground in ("page", "panel"):
        assert contrast(colour["muted"], colour[ground]) >= 4.5, ground
    for shape in ("bar", "target"):
        assert contrast(colour[shape], colour["page"]) >= 4.5, shape
