"""Fixtures of the black-box tests: platforms, workers, and what must be true after every test.

Binaries are looked for in build/ (or $WORKER_BUILD). Where a test fails, its report shows everything the
platform recorded and everything the worker printed.
"""

import contextlib
import json
import re
import socket
from pathlib import Path

import pytest

from certs import Authority
from gpulib import public_folder
from own_handlers import own
from testplatform import Platform, is_progress, server_context
from witness import Witness
from workerproc import SANITIZED, Worker, run_local

LONG_POLL = pytest.StashKey()
# About what ships and its real peers: not run again on workers of other builds (-m "not shipped").
SHIPPED = (
    "audit", "confine", "confine_log", "clients", "console", "docker", "http_docker", "gpu_docker", "model_docker", "kit", "readme", "http_real", "serve_real", "chaos",
    "memory", "python_sdk", "release", "sbom",
)
# Fail rightly on a confined worker: a GPU's driver in the process, a handler that opens a model anywhere.
UNCONFINED = ("gpu", "sentiment_gpu", "tokenizer")
# What a linked handler opens by itself is in no --audit.
UNLISTED = ("archives", "tokenizer")
TEST_S = 180  # no test may stand still for longer; where every thread stood is then in its report


def pytest_configure(config):
    config.addinivalue_line("markers", "long_poll: its worker is started before all tests")
    config.addinivalue_line("markers", "shipped: about the image, the README, real peers; see SHIPPED")
    config.addinivalue_line("markers", "unconfined: fails rightly under --confine; see UNCONFINED")
    config.addinivalue_line("markers", "unlisted: its handler does what --audit does not list; see UNLISTED")
    config.addinivalue_line("markers", "smoke: the few tests that a cross-built worker runs under an emulator")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    witness = getattr(item, "witness", None)
    if report.failed and witness:
        report.sections.append(("record of the platform, log of the worker", witness.story()))


@pytest.fixture
def deaf_port():
    """A port of the loopback whose queue of connections is full: the kernel drops what else would connect."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def witness(request):
    witness = Witness()
    request.node.witness = witness
    yield witness
    for worker in witness.workers:
        worker.end()
    for platform in witness.platforms:
        platform.stop()
    _check_workers(witness)
    _check_platforms(witness)


def _check_workers(witness):
    """True of every worker in every test."""
    for worker in witness.workers:
        status = worker.process.returncode
        # Under a sanitizer a worker is ended by SIGTERM, maybe before it listens to signals.
        cut_short = SANITIZED and status == -15
        assert worker.killed or worker.crash_expected or cut_short or status >= 0, f"the worker died of signal {-status}"
        assert not worker.leftovers(), f"left behind: {worker.leftovers()}"
        unlisted = worker.unlisted()
        assert not unlisted, "not in --audit:\n" + "\n".join(unlisted)
        assert not worker.would_be_refused(), "--confine=on would refuse:\n" + "\n".join(worker.would_be_refused())
        key = worker.env.get("RUNPOD_AI_API_KEY")
        assert not key or key.encode() not in worker.output, "the API key is in the log"
        assert not re.search(rb"Sanitizer|runtime error:", worker.output), "a sanitizer has something to say"


def _check_platforms(witness):
    """True of every platform in every test."""
    for platform in witness.platforms:
        assert not platform.complaints, "requests against the contract:\n" + "\n".join(platform.complaints)
        delivered = {}
        for post in platform.requests("done"):
            if post.settled and not is_progress(post.body):
                delivered.setdefault(post.job_id, []).append(post.number)
        twice = {job: posts for job, posts in delivered.items() if len(posts) > 1}
        handed = [
            str(job.get("id")) for take in platform.requests("take") for job in take.jobs if isinstance(job, dict)
        ]
        twice = {job: posts for job, posts in twice.items() if len(posts) > max(1, handed.count(job))}
        assert not twice, f"results delivered more than once: {twice}"


@pytest.fixture
def make_platform(witness):
    """make_platform(**options) -> Platform, stopped at the end."""

    def make(**options):
        try:
            return Platform(witness, **options)
        except OSError as error:
            if ":" in "".join(options.get("hosts", ())):
                pytest.skip(f"NO IPv6 ON THIS MACHINE, IT WAS NOT TESTED: {error}")
            raise

    return make


@pytest.fixture
def platform(make_platform):
    """A platform over plain HTTP."""
    return make_platform()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The authority whose root the TLS tests' workers trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def localhost_certificate(authority):
    return authority.leaf("localhost", "127.0.0.1", "::1", tag="localhost")


@pytest.fixture
def tls_platform(make_platform, localhost_certificate):
    """A platform over TLS 1.2 with a chain of root, intermediate and leaf for localhost."""
    return make_platform(tls=server_context(*localhost_certificate), name="localhost")


@pytest.fixture
def worker(witness, authority, tmp_path):
    """worker(platform, *flags, handler="echo", env={...}) -> a running Worker.

    Its environment is the platform's variables and nothing else; a change to None leaves one out.
    """

    def start(platform, *args, handler="echo", env=None, cwd=tmp_path, prefix=()):
        variables = platform.env(**(env or {})) if platform else dict(env or {})
        if platform and platform.tls and "SSL_CERT_FILE" not in (env or {}):
            variables["SSL_CERT_FILE"] = str(authority.root_file)
        return Worker(witness, handler, args, variables, cwd, prefix)

    return start


@pytest.fixture
def local(tmp_path):
    """local(*flags, handler="echo", env={...}) -> CompletedProcess of a run to the end, without a platform."""

    def run(*args, handler="echo", env=None, cwd=tmp_path):
        return run_local(handler, *args, env=env, cwd=cwd)

    return run


@pytest.fixture
def ask_handler(local, tmp_path):
    """ask_handler(name, input, env={...}) -> what a handler of the tests' own makes of it: the output, or the error's message.
    It may download from this machine. Its scratch folder is empty afterwards."""

    def ask(name, job_input, env=None):
        scratch, result = tmp_path / "scratch", tmp_path / "result.json"
        allowed = {"RP_ALLOW_PRIVATE_DOWNLOADS": "1", "RP_SCRATCH_DIR": str(scratch)}
        done = local("--test_input", json.dumps({"input": job_input}), "--test_result", str(result), handler=own(name),
                     env={**allowed, **(env or {})})  # fmt: skip
        assert result.exists() and result.stat().st_size > 0, done.stdout
        assert not scratch.exists() or not list(scratch.iterdir()), "the scratch folder was left behind"
        said = json.loads(result.read_text())
        return said["output"] if "output" in said else json.loads(said["error"])["error_message"]

    return ask


@pytest.fixture
def public_path():
    """A folder for programs that run as another user."""
    with public_folder() as name:
        yield Path(name)


# ---- the one test that needs a minute and a half: its worker runs beside all the others ----


def pytest_collection_modifyitems(items):
    """It comes last, so that nobody waits for it."""
    items.sort(key=lambda item: item.get_closest_marker("long_poll") is not None)
    for item in items:
        topic = item.path.stem.removeprefix("test_")
        for mark, topics in (("shipped", SHIPPED), ("unconfined", UNCONFINED), ("unlisted", UNLISTED)):
            if topic in topics:
                item.add_marker(mark)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """Start it as soon as it is known that the test will run (in the process that runs it, under xdist)."""
    _check_groups(session)
    if any(item.get_closest_marker("long_poll") for item in session.items) and not session.config.option.collectonly:
        session.config.stash[LONG_POLL] = _start_long_poll()


def _check_groups(session):
    """Some pairs of pytest and pytest-xdist quietly ignore groups; tests that build would be in each other's way."""
    groups = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if session.config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in groups):
        pytest.exit("this pytest-xdist does not keep groups together with this pytest", 3)


def _start_long_poll():
    witness = Witness()
    platform = Platform(witness)
    platform.poll_s = 600
    return platform, Worker(witness, "echo", env=platform.env(), cwd="/")


@pytest.fixture
def long_poll(request):
    platform, process = request.config.stash[LONG_POLL]
    request.node.witness = platform.witness
    return platform, process


def pytest_unconfigure(config):
    if LONG_POLL in config.stash:
        platform, process = config.stash[LONG_POLL]
        process.end()
        platform.stop()
