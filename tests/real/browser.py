"""Opens a report in Chromium as a person would, and prints what happened as JSON.

Runs in an environment of its own: python browser.py REPORT AXE SEARCH_WORD [light|dark]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SERIOUS = ("serious", "critical")
AXE = "const done = arguments[0]; axe.run().then((found) => done(found.violations));"


def opened() -> webdriver.Chrome:
    """A browser without a window, which notes every request and every word on its console."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1600"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def requests(driver: webdriver.Chrome) -> list[str]:
    """The addresses that the page asked for."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def look(page: Path, axe: Path, word: str, scheme: str) -> dict[str, Any]:
    """What a reader finds: time to open, search, keyboard, barriers, errors, requests."""
    driver = opened()
    try:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        start = time.monotonic()
        driver.get(page.as_uri())
        seconds = time.monotonic() - start
        search = driver.find_element(By.CSS_SELECTOR, "input.filter[data-for=portfolio-table]")
        found = driver.find_element(By.ID, "portfolio-found")
        rows_before = len(driver.find_elements(By.CSS_SELECTOR, "#portfolio-table tbody tr"))
        search.send_keys(word)
        rows = driver.find_elements(By.CSS_SELECTOR, "#portfolio-table tbody tr")
        rows_found, said = [row.text for row in rows], found.text
        search.send_keys(Keys.CONTROL, "a")
        search.send_keys(Keys.DELETE)
        rows_after = len(driver.find_elements(By.CSS_SELECTOR, "#portfolio-table tbody tr"))
        driver.find_element(By.TAG_NAME, "body").send_keys(Keys.HOME)
        driver.execute_script("document.activeElement.blur()")
        summaries = driver.find_elements(By.CSS_SELECTOR, ".lane summary")
        for summary in summaries[:1]:
            summary.send_keys(Keys.ENTER)
        steps = driver.find_elements(By.CSS_SELECTOR, "details[open] li")
        driver.execute_script(axe.read_text(encoding="utf-8"))
        violations = driver.execute_async_script(AXE)
        driver.save_screenshot(str(page.with_suffix(f".{scheme}.png")))
        return {
            "seconds": seconds,
            "title": driver.title,
            "rows": [rows_before, rows_found, rows_after],
            "said": said,
            "steps": [step.text for step in steps],
            "barriers": [
                [each["id"], each["nodes"][0]["html"][:200]]
                for each in violations
                if each["impact"] in SERIOUS
            ],
            "console": [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"],
            "requests": [url for url in requests(driver) if url != page.as_uri()],
        }
    finally:
        driver.quit()


if __name__ == "__main__":
    report, axe_file, search_word, colours = sys.argv[1:]
    sys.stdout.write(json.dumps(look(Path(report), Path(axe_file), search_word, colours)))
