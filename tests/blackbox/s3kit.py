"""What the tests of uploads share: a real S3 server, one that fails by script, and how to read a link."""

import time
import urllib.parse
from http.client import HTTPConnection

import pytest

from fakes3 import FakeS3
from servers import Server, free_port
from workerproc import BUILD, ROOT

KEY, REAL_SECRET = "AKIAREAL", "real/secret+key=="


@pytest.fixture
def real(witness, tmp_path):
    program = next((path for path in (BUILD / "s3/bin/s3s-fs", ROOT / "build/s3/bin/s3s-fs") if path.exists()), None)
    if program is None:
        pytest.skip("build/s3/bin/s3s-fs is not there (tests/s3server.sh): uploads to a real server were NOT tested")
    root = tmp_path / "s3"
    (root / "mybucket").mkdir(parents=True)
    (root / time.strftime("%m-%y", time.gmtime())).mkdir()
    port = free_port()
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--access-key", KEY, "--secret-key", REAL_SECRET]
    server = Server(witness, [*command, "--domain", f"s3.test:{port}", root], port, tmp_path).wait_listening()
    server.root = root
    server.env = {
        "BUCKET_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "BUCKET_ACCESS_KEY_ID": KEY,
        "BUCKET_SECRET_ACCESS_KEY": REAL_SECRET,
    }
    yield server
    server.end()


def get(url, port=None):
    """What a link leads to; the host's name needs no resolver."""
    parts = urllib.parse.urlsplit(url)
    connection = HTTPConnection("127.0.0.1", port or parts.port, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc})
    reply = connection.getresponse()
    return reply.status, reply.read(), reply.headers


@pytest.fixture
def fake():
    fake = FakeS3()
    yield fake
    fake.stop()
    assert not fake.wrong, fake.wrong
