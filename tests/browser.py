"""A headless Chromium, and a page as a person has it before them."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def headless() -> Iterator[webdriver.Chrome]:
    """One headless Chromium, which ends with the generator. Without one, tests are skipped, but fail in CI."""
    driver, browser = shutil.which("chromedriver"), next(filter(None, map(shutil.which, BROWSERS)), None)
    if driver is None or browser is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium with its chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        chromium = webdriver.Chrome(options, Service(driver))
    yield chromium
    chromium.quit()


class Page:
    """The page as a person has it before them."""

    def __init__(self, driver: webdriver.Chrome, address: str):
        self.driver, self.address = driver, address
        self.load("")

    def load(self, state: str) -> None:
        self.driver.get("about:blank")
        self.driver.get(self.address + state)

    def find(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.find(selector)[0].text

    def emulate(self, command: str, **settings: Any) -> None:
        self.driver.execute_cdp_cmd(command, settings)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def check_quiet(self) -> None:
        """Whatever was done, the page said nothing to the console and asked the network for nothing. Ends emulations."""
        self.emulate("Emulation.clearDeviceMetricsOverride")
        self.emulate("Emulation.setEmulatedMedia", media="", features=[])
        assert self.driver.get_log("browser") == []
        assert self.driver.execute_script("return performance.getEntriesByType('resource')") == []
