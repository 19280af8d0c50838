"""The console of --rp_serve_api: its page over HTTP, and in a real browser (browser.py)."""

import hashlib
import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from endpoint import Endpoint
from own_handlers import Gate, own
from workerproc import ROOT

CLIENTS = ROOT / "build/venv-clients/bin/python"
SCREENSHOTS = ROOT / "build/screenshots"
KEY = "console-test-key"


@pytest.fixture
def endpoint(worker):
    def start(handler="echo"):
        process = worker(None, "--rp_serve_api", "--rp_api_port=0", handler=handler, env={"RUNPOD_API_KEY": KEY})
        return Endpoint(process)

    return start


def test_page(endpoint):
    """One file, small, with a policy that allows nothing but what is in it."""
    answer = endpoint().get("/")
    page = answer.body.decode()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(answer.body) <= 40 * 1024
    policy = answer.headers["Content-Security-Policy"]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        text = re.search(f"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page), "the page names a resource elsewhere"
    assert "innerHTML" not in page and "style=" not in page
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path, name", [("/", "console.html"), ("/openapi.json", "openapi.json")])
def test_files_need_no_client_that_unpacks(endpoint, path, name):
    """They lie packed in the program, and are served as they were written: curl shows text."""
    api = endpoint()
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        answer = api.get(path, headers={"Authorization": KEY, **headers})
        assert answer.status == 200 and answer.body == (ROOT / "src/source" / name).read_bytes()
        assert "Content-Encoding" not in answer.headers


def test_page_says_nothing_of_the_key_or_jobs(endpoint):
    api = endpoint()
    api.post("/run", {"input": "secret-input"}, headers={"Authorization": KEY})
    assert KEY.encode() not in api.get("/").body and b"secret-input" not in api.get("/").body


def test_in_a_browser(endpoint, tmp_path):
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed (package chromium): THE CONSOLE WAS NOT TESTED IN A BROWSER")
    if not CLIENTS.exists():
        pytest.skip("build/venv-clients is not there: THE CONSOLE WAS NOT TESTED IN A BROWSER")
    api = endpoint(own("steps"))
    gate = Gate(tmp_path / "gate")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "*"}
    command = [CLIENTS, Path(__file__).with_name("browser.py"), api.url, KEY, SCREENSHOTS, gate.path]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0 and "all seen" in done.stdout, done.stderr
