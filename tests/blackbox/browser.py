"""The console in Debian's chromium: browser.py URL KEY SCREENSHOTS. Run by the Python of build/venv-clients.

Every step asserts what a person would see; test_console.py starts the worker (handlers/steps.c) and this.
"""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import playwright
from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 20000
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC"
)
NODE = Path(playwright.__file__).with_name("driver") / "node"  # a browser's driver brings one
# What is wrong, and where; an engine's own words have no place for the last three.
INVALID = (
    ('{\n  "input": {\n    "a": 1,\n    oops\n  }\n}', "Line 4, column 5"),
    ('{\n  "input": {\n    "prompt": Hello,\n    "n": 1\n  }\n}', "Line 3, column 15"),
    ('{"input":\n[1,,2]\n}', "Line 2, column 4"),
    ('{"input": True}', "Line 1, column 11"),
)


def wav(samples=800, rate=8000):
    """A tenth of a second of silence, one byte a sample."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    data = struct.pack("<4sI", b"data", samples) + b"\x80" * samples
    body = b"WAVE" + form + data
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


def send(page, *todo, mode="run"):
    page.get_by_label("Request, as JSON").fill(json.dumps({"input": {"steps": list(todo)}}))
    page.get_by_label("Route").select_option(mode)
    page.get_by_role("button", name="Send").click()


def state(page, text):
    expect(page.locator("#jstate")).to_have_text(text)


def open_gate(path):
    with open(path, "wb"):
        pass


def asks_for_the_key(page, url, key):
    page.goto(url)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.screenshot(path=shots / "key.png")
    dialog.get_by_label("Key").fill(key)
    dialog.get_by_role("button").click()
    expect(page.locator("#stats")).to_contain_text("idle")


def sends_and_shows(page):
    send(page, {"return": {"text": "hello", "link": "https://example.com/x", "picture": PNG}})
    state(page, "COMPLETED")
    output = page.get_by_role("tabpanel", name="Output")
    expect(output.locator("pre")).to_contain_text('"text": "hello"')
    expect(output.get_by_role("link")).to_have_attribute("href", "https://example.com/x")
    assert output.get_by_role("img").evaluate("image => image.complete && image.naturalWidth") == 8
    page.get_by_role("tab", name="Log").click()
    expect(page.locator("#log")).to_contain_text("at step 1")
    page.get_by_role("tab", name="Log").press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Raw")).to_be_visible()
    page.get_by_role("tab", name="Output").click()
    expect(page.locator("#jobs tr")).to_have_count(1)
    expect(page.locator("#chart rect")).to_have_count(1)


def plays_sound(page):
    send(page, {"return": {"sound": wav()}})
    state(page, "COMPLETED")
    sound = page.get_by_role("tabpanel", name="Output").locator("audio")
    expect(sound).to_have_attribute("controls", "")
    loaded = """audio => new Promise((loaded, failed) => {
        if (audio.readyState) loaded(audio.duration);
        audio.onloadedmetadata = () => loaded(audio.duration);
        audio.onerror = () => failed(audio.error.message);
    })"""
    assert abs(sound.evaluate(loaded) - 0.1) < 0.01


def watches_a_stream(page, gate):
    send(page, {"progress": {"percent": 40}}, {"gate": gate}, {"yield": "first "}, {"gate": gate}, {"return": "second"})
    expect(page.locator("#p-output")).to_contain_text('"percent": 40')
    state(page, "IN_PROGRESS")
    open_gate(gate)
    page.get_by_role("tab", name="Stream").click()
    expect(page.locator("#stream")).to_have_text("first ")
    page.screenshot(path=shots / "stream.png")
    open_gate(gate)
    state(page, "COMPLETED")
    expect(page.locator("#stream")).to_have_text("first second")
    page.get_by_role("tab", name="Output").click()


def cancels_and_retries(page):
    send(page, {"await_stop": 100000})
    state(page, "IN_PROGRESS")
    page.get_by_role("button", name="Cancel").click()
    state(page, "CANCELLED")
    page.get_by_role("button", name="Retry").click()
    state(page, "IN_PROGRESS")
    expect(page.locator("#jtimes")).to_contain_text("1 retries")
    page.get_by_role("button", name="Cancel").click()
    state(page, "CANCELLED")


def shows_errors(page):
    send(page, {"fail": "out of cheese"}, mode="runsync")
    state(page, "FAILED")
    expect(page.locator("#p-output")).to_contain_text("out of cheese")
    for text, place in INVALID:
        page.get_by_label("Request, as JSON").fill(text)
        expect(page.locator("#wrong")).to_contain_text(f"{place}: ")
    page.screenshot(path=shots / "invalid.png")
    page.get_by_role("button", name="Send").click()
    state(page, "FAILED")
    page.get_by_label("Request, as JSON").fill('{"input": null}')
    expect(page.locator("#wrong")).to_contain_text("input")


def escapes_what_jobs_say(page):
    send(page, {"yield": HOSTILE}, {"return": {HOSTILE: [HOSTILE, "javascript:alert(1)", "data:text/html,x"]}})
    state(page, "COMPLETED")
    expect(page.locator("#p-output")).to_contain_text("<img src=x")
    assert page.locator("#p-output img, #p-output script, #p-output a").count() == 0
    assert page.title() == "slim-worker console"


def newest_output(url, key):
    def get(path):
        return json.load(urlopen(Request(f"{url}{path}", headers={"Authorization": key}), timeout=60))

    return get(f"/status/{get('/requests')['requests'][0]['id']}")["output"]


def copies(page, url, key):
    """Each text makes a job of the input as it stands, with the key that is in the environment."""
    run = {"curl": ["sh", "-c"], "Python": [sys.executable, "-c"], "JS": [NODE, "--input-type=module", "-e"]}
    page.get_by_label("Route").select_option("runsync")
    for name, command in run.items():
        said = f"it's \"$HOME\" `id` \\ \n% by {name}"
        page.get_by_label("Request, as JSON").fill(json.dumps({"input": {"steps": [{"return": said}]}}))
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator(f"[data-copy={name.lower()}]")).to_have_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert key not in text, text
        env = {**os.environ, "RUNPOD_API_KEY": key}
        done = subprocess.run([*command, text], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and "COMPLETED" in done.stdout, (text, done.stdout, done.stderr)
        assert newest_output(url, key) == said, text


def by_keyboard_alone(page):
    editor = page.get_by_label("Request, as JSON")
    editor.fill('{"input": {"steps": [{"return": "typed"}]}}')
    editor.press("Control+Enter")
    state(page, "COMPLETED")
    expect(page.locator("#p-output")).to_contain_text("typed")
    first = page.locator("#jobs button").last
    first.focus()
    first.press("Enter")
    expect(page.locator("#p-output")).to_contain_text("hello")


def has_both_themes(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.screenshot(path=shots / "light.png", full_page=True)
    page.get_by_role("button", name="Switch between").click()
    assert page.evaluate(ground) != light
    page.screenshot(path=shots / "dark.png", full_page=True)


def fits_a_narrow_screen(page):
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.screenshot(path=shots / "narrow.png", full_page=True)


def main(url, key, gate):
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light",
                                      permissions=["clipboard-read", "clipboard-write"])  # fmt: skip
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page = context.new_page()
        complaints, foreign = [], []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: "Content Security" in message.text and complaints.append(message.text))
        page.on("request", lambda request: request.url.startswith((url, "data:", "blob:")) or foreign.append(request.url))
        asks_for_the_key(page, url, key)
        sends_and_shows(page)
        plays_sound(page)
        watches_a_stream(page, gate)
        cancels_and_retries(page)
        shows_errors(page)
        escapes_what_jobs_say(page)
        copies(page, url, key)
        by_keyboard_alone(page)
        has_both_themes(page)
        fits_a_narrow_screen(page)
        browser.close()
    assert not complaints, complaints
    assert not foreign, foreign
    print("all seen")


if __name__ == "__main__":
    shots = Path(sys.argv[3])
    os.makedirs(shots, exist_ok=True)
    main(sys.argv[1], sys.argv[2], sys.argv[4])
