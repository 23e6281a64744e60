"""The page in a real browser: nothing fails, nothing is fetched, everything is drawn, seen and reached."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from aiida_sis.show.figures.catalogue import FIGURES

pytestmark = pytest.mark.slow

Browse = Callable[..., webdriver.Chrome]

_ARGUMENTS = (
    '--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--window-size=1280,900',
)  # fmt: skip
_SOFTWARE_GL = ('--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader')


def find_browser() -> tuple[str, str]:
    """Return browser and driver; without them skip the test, but not where it must have run."""
    names = ('chromium', 'chromium-browser', 'google-chrome')
    browser = next((path for name in names if (path := shutil.which(name))), None)
    driver = shutil.which('chromedriver')
    if browser is None or driver is None:
        reason = 'there is no Chromium with its driver: `make browser`, or apt-get install chromium chromium-driver'
        if os.environ.get('CI'):
            pytest.fail(reason)
        pytest.skip(reason)
    return browser, driver


@contextmanager
def started(profile: Path, *arguments: str) -> Iterator[webdriver.Chrome]:
    """Start a browser with a profile of its own, and end it."""
    browser, driver = find_browser()
    options = Options()
    options.binary_location = browser
    for argument in (*_ARGUMENTS, *arguments, f'--user-data-dir={profile}'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Start one browser for all tests of a worker."""
    with started(tmp_path_factory.mktemp('browser'), *_SOFTWARE_GL) as chrome:
        yield chrome


@pytest.fixture
def browse(browser: webdriver.Chrome) -> Iterator[Browse]:
    """Return a function that opens a file in a tab of its own, with what was logged before put away."""
    first = browser.current_window_handle

    def start(path: Path, width: int = 1280) -> webdriver.Chrome:
        browser.switch_to.new_window('tab')
        for kind in ('browser', 'performance'):
            browser.get_log(kind)
        metrics = {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 500}
        browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
        browser.get(path.as_uri())
        return browser

    yield start
    for handle in set(browser.window_handles) - {first}:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(first)


def wait_for_viewer(chrome: webdriver.Chrome) -> WebElement:
    """Return the viewer when it has drawn its first structure."""
    WebDriverWait(chrome, 60).until(lambda page: page.find_elements(By.CSS_SELECTOR, '#stage[data-ready="true"]'))
    stage = chrome.find_element(By.ID, 'stage')
    chrome.execute_script('arguments[0].scrollIntoView({block: "center", behavior: "instant"})', stage)
    return stage


def picture(chrome: webdriver.Chrome) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return the pixels of the viewer, (height, width, 4)."""
    url = chrome.execute_script('return document.querySelector("#stage canvas").toDataURL("image/png")')
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(',')[2]))).convert('RGBA')
    return np.asarray(image, dtype=np.int16)


def changed(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> int:
    """Count the pixels that differ visibly."""
    return int((np.abs(first - second).max(axis=2) > 40).sum())


def requests_of(chrome: webdriver.Chrome) -> list[str]:
    """Return the address of every request that the page made."""
    events = [json.loads(entry['message'])['message'] for entry in chrome.get_log('performance')]
    sent = [event['params'] for event in events if event['method'] == 'Network.requestWillBeSent']
    return [one['request']['url'] for one in sent if one['documentURL'] == chrome.current_url]


@pytest.mark.parametrize('width', [1280, 390])
def test_page_is_seen_whole(full_page: Path, browse: Browse, width: int) -> None:
    """No error, no request, every figure in its place, nothing beside the screen."""
    chrome = browse(full_page, width)
    wait_for_viewer(chrome)
    assert [entry for entry in chrome.get_log('browser') if entry['level'] == 'SEVERE'] == []
    addresses = requests_of(chrome)
    assert full_page.as_uri() in addresses
    assert [url for url in addresses if not url.startswith(('file:', 'data:', 'blob:'))] == []
    assert [url for url in addresses if url.startswith('file:') and url != full_page.as_uri()] == []
    assert chrome.execute_script('return document.documentElement.scrollWidth') <= width
    for name in FIGURES:
        shown = [d for d in chrome.find_elements(By.CSS_SELECTOR, f'#{name} svg[role="img"]') if d.is_displayed()]
        assert len(shown) == 1, name
        box = shown[0].rect
        assert box['width'] > 0.7 * min(width, 900) - 40
        assert box['height'] > 60
        assert box['x'] >= 0
        assert box['x'] + box['width'] <= width
        parts = 'return arguments[0].querySelectorAll("path, use, text, image").length'
        assert chrome.execute_script(parts, shown[0]) > 8


def test_text_is_legible_on_a_phone(full_page: Path, browse: Browse) -> None:
    """Text of figures is not scaled down to nothing."""
    chrome = browse(full_page, 390)
    heights = chrome.execute_script(
        'return Array.from(document.querySelectorAll(".narrow svg text")).map(t => Math.hypot('
        't.getScreenCTM().a, t.getScreenCTM().b) * parseFloat(getComputedStyle(t).fontSize))'
    )
    assert len(heights) > 100
    assert min(heights) > 7.5  # subscripts
    assert np.median(heights) > 10.5


def test_viewer_turns(full_page: Path, browse: Browse) -> None:
    """Buttons, keys and the mouse turn the structure; another one can be chosen; reset goes back to the start."""
    chrome = browse(full_page)
    stage = wait_for_viewer(chrome)
    start = picture(chrome)
    spread = start[..., :3].max(axis=2) - start[..., :3].min(axis=2)
    assert (spread > 90).sum() > 500  # atoms in their colours
    turned = start
    for action in ('left', 'right', 'right', 'up', 'in'):
        chrome.find_element(By.CSS_SELECTOR, f'[data-turn="{action}"]').click()
        before, turned = turned, picture(chrome)
        assert changed(before, turned) > 200, action
    chrome.find_element(By.CSS_SELECTOR, '[data-turn="reset"]').click()
    assert changed(start, picture(chrome)) < 50
    ActionChains(chrome).drag_and_drop_by_offset(stage, 120, 30).perform()
    assert changed(start, picture(chrome)) > 200
    buttons = chrome.find_elements(By.CSS_SELECTOR, '[data-scene]')
    titles = [button.text for button in buttons]
    buttons[-1].click()
    assert [button.get_attribute('aria-pressed') for button in buttons] == ['false'] * (len(titles) - 1) + ['true']
    assert changed(start, picture(chrome)) > 200
    assert 'fs of generation 1' in chrome.find_element(By.ID, 'scene-note').text
    assert [entry for entry in chrome.get_log('browser') if entry['level'] == 'SEVERE'] == []


def test_wheel_scrolls_the_page(full_page: Path, browse: Browse) -> None:
    """The viewer does not hold the wheel."""
    chrome = browse(full_page)
    stage = wait_for_viewer(chrome)
    before, position = picture(chrome), chrome.execute_script('return scrollY')
    ActionChains(chrome).move_to_element(stage).scroll_by_amount(0, 60).pause(0.5).perform()
    assert chrome.execute_script('return scrollY') > position
    assert changed(before, picture(chrome)) < 50


def test_keyboard_reaches_everything(full_page: Path, browse: Browse) -> None:
    """Tab comes to every link, button, fold and wide table, in the order of the page; arrow keys turn the structure."""
    chrome = browse(full_page)
    stage = wait_for_viewer(chrome)
    chrome.execute_script('scrollTo(0, 0)')
    wanted = chrome.execute_script("""
        const all = document.querySelectorAll('a[href], button, summary, [tabindex="0"]');
        return Array.from(all).filter(e => e.checkVisibility({contentVisibilityAuto: true})).length""")
    places = []
    for _ in range(wanted + 5):
        ActionChains(chrome).send_keys(Keys.TAB).perform()
        place = chrome.execute_script("""
            const all = Array.from(document.querySelectorAll('a[href], button, summary, [tabindex="0"]'));
            return all.indexOf(document.activeElement)""")
        if place < 0 or place in places:
            break
        places.append(place)
    assert len(places) == wanted
    assert places == sorted(places)
    start = picture(chrome)
    stage.send_keys(Keys.ARROW_RIGHT)
    assert changed(start, picture(chrome)) > 200
    stage.send_keys(Keys.HOME)
    assert changed(start, picture(chrome)) < 50
    second = chrome.find_elements(By.CSS_SELECTOR, '[data-scene]')[1]
    second.send_keys(Keys.ENTER)
    assert second.get_attribute('aria-pressed') == 'true'


def test_without_webgl_there_is_a_sentence(full_page: Path, tmp_path: Path) -> None:
    """A browser that can't draw in three dimensions says so, and offers no buttons that do nothing."""
    with started(tmp_path / 'browser', '--disable-gpu', '--disable-3d-apis') as chrome:
        chrome.get(full_page.as_uri())
        sentence = chrome.find_element(By.ID, 'viewer-fallback')
        assert sentence.is_displayed()
        assert 'WebGL is missing' in sentence.text
        assert not chrome.find_element(By.ID, 'stage').is_displayed()
        assert not any(button.is_enabled() for button in chrome.find_elements(By.CSS_SELECTOR, '[data-turn]'))
        assert [entry for entry in chrome.get_log('browser') if entry['level'] == 'SEVERE'] == []


def test_dark(full_page: Path, browse: Browse) -> None:
    """The page follows the reader's system, and its figures follow the page."""
    chrome = browse(full_page)
    seen = []
    for scheme in ('light', 'dark'):
        features = {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]}
        chrome.execute_cdp_cmd('Emulation.setEmulatedMedia', features)
        colours = chrome.execute_script("""
            const card = document.getElementById('growth'), label = card.querySelector('.wide svg text');
            return [getComputedStyle(card).backgroundColor, getComputedStyle(label).fill]""")
        seen.append([np.mean([int(part) for part in re.findall(r'\d+', colour)[:3]]) for colour in colours])
    (light_paper, light_ink), (dark_paper, dark_ink) = seen
    assert light_paper - light_ink > 150
    assert dark_ink - dark_paper > 150
