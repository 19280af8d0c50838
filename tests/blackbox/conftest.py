"""Fixtures of the black-box tests: platforms, workers, and what must be true after every test.

Binaries are looked for in build/ (or $WORKER_BUILD). Where a test fails, its report shows everything the
platform recorded and everything the worker printed.
"""

import re
from pathlib import Path

import pytest

from certs import Authority
from gpulib import public_folder
from testplatform import Platform, is_progress, server_context
from witness import Witness
from workerproc import Worker, run_local

LONG_POLL = pytest.StashKey()
TEST_S = 180  # no test may stand still for longer; where every thread stood is then in its report


def pytest_configure(config):
    config.addinivalue_line("markers", "long_poll: its worker is started before all tests")
    config.addinivalue_line("markers", "smoke: the few tests that a cross-built worker runs under an emulator")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    witness = getattr(item, "witness", None)
    if report.failed and witness:
        report.sections.append(("record of the platform, log of the worker", witness.story()))


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
        assert worker.killed or worker.crash_expected or status >= 0, f"the worker died of signal {-status}"
        assert not worker.leftovers(), f"left behind: {worker.leftovers()}"
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
def public_path():
    """A folder for programs that run as another user."""
    with public_folder() as name:
        yield Path(name)


# ---- the one test that needs a minute and a half: its worker runs beside all the others ----


def pytest_collection_modifyitems(items):
    """It comes last, so that nobody waits for it."""
    items.sort(key=lambda item: item.get_closest_marker("long_poll") is not None)
    for item in items:
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
