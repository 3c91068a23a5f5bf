"""A headless Chromium for tests of pages: what it draws, what its console says, what it asks of the network."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
# Sees to it that a missing browser is told: `pytest -ra` lists the skipped tests.
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium with its driver (chromium-driver)")
LOCAL = {"file", "data", "blob", "about"}  # whatever else a page asks for would leave the machine


class Page:
    """A page that is open in the browser."""

    def __init__(self, driver) -> None:
        self.driver = driver
        self._asked: list[str] = []

    def run(self, script: str, *arguments):
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def picture(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """A screenshot at this size of the window."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.save_screenshot(str(path))

    def said(self, *levels: str) -> list[str]:
        """What the console says since the last call, of these levels: errors and warnings where none are given."""
        asked = levels or ("SEVERE", "WARNING")
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in asked]

    def asked(self) -> list[str]:
        """The addresses that the page has asked for and that are not in the page itself."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._asked.append(message["params"]["request"]["url"])
        return [url for url in self._asked if urlparse(url).scheme not in LOCAL]


@contextmanager
def opened(path: Path) -> Iterator[Page]:
    """The page in a file, open in a browser that ends with the block."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    driver.command_executor.client_config.timeout = 600  # seconds; a busy machine takes its time
    try:
        driver.get(path.as_uri())
        yield Page(driver)
    finally:
        driver.quit()
