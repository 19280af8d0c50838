"""README.md as a newcomer reads it: its handler is built and run as it stands there."""

import json
import re
import shutil
import subprocess

import pytest

from workerproc import BUILD, ROOT, RUNNER

README = ROOT / "README.md"
NOT_YET = {"--rp_serve_api", "--rp_api_port", "--rp_api_host", "--rp_api_concurrency", "--rp_debugger"}

# In one process, one after the other: several builds in the same folder would be in each other's way.
pytestmark = pytest.mark.xdist_group("build")


def first_block(language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert blocks, f"README.md shows no {language} block"
    return blocks[0]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The README's handler, built with the command that the README gives."""
    if RUNNER:
        pytest.skip("the README's example is built for this machine, the tested workers are not")
    folder = tmp_path_factory.mktemp("readme")
    source = folder / "readme_example.c"
    source.write_text(first_block("c"), "utf-8")
    binary = folder / "readme_example"
    done = subprocess.run(
        [str(ROOT / "build.sh"), "handler", str(source), "-o", str(binary)],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return binary


def run(binary, job):
    done = subprocess.run(
        [str(binary), "--test_input", json.dumps(job)],
        env={},
        cwd=binary.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    found = re.search("Job result: (.*)", done.stdout)
    return done.returncode, json.loads(found[1]) if found else None, done.stdout


def test_example_is_short():
    assert len([line for line in first_block("c").splitlines() if line.strip()]) <= 25


def test_example_runs(example):
    """On the first input that stands in the README behind --test_input, and on one with all kinds of characters."""
    shown = [json.loads(job) for job in re.findall(r"--test_input '(\{.*?\})'", README.read_text("utf-8"))]
    assert shown, "README.md shows no --test_input"
    status, result, log = run(example, shown[0])
    assert status == 0 and "output" in result, log
    status, result, log = run(example, {"input": {"name": 'Ada "žluť" \u0001', "prompt": "The quick brown fox jumps"}})
    assert status == 0 and result and "output" in result, log


def test_example_fails_visibly_on_nonsense(example):
    status, _, log = run(example, {"input": {"nothing": "of use"}})
    assert status in (0, 1) and "Starting Serverless Worker" in log


def commands():
    """The shell commands of the README's sh blocks, without those that would start this suite again or run for long."""
    for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not re.match(r"(\./build\.sh (test|bench|clean|fmt|vendor)|git |#)", line.strip()):
                yield line.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, built as far as this one is, with the example saved under its name."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    left_out = shutil.ignore_patterns(".git", "__pycache__", "venv*", "bench*", "log", "tests", "*.tar")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=left_out)
    name = re.search(r"as `(\w+\.c)`", README.read_text("utf-8"))
    (folder / (name[1] if name else "greet.c")).write_text(first_block("c"), "utf-8")
    return folder


@pytest.mark.parametrize("command", list(commands()) if README.exists() else [])
def test_command_as_written(checkout, command):
    """One after the other, in the order of the README."""
    if (
        command.startswith("docker ")
        and subprocess.run(["docker", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"NO DOCKER ENGINE, NOT RUN: {command}")
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=checkout,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"


def test_what_it_names_exists():
    """Every ./build.sh verb, every file of the repository and every flag that the README names is there."""
    text = README.read_text("utf-8")
    usage = subprocess.run([str(ROOT / "build.sh"), "--help"], capture_output=True, text=True, check=True).stdout
    for verb in set(re.findall(r"\./build\.sh ([a-z]+)", text)):
        assert re.search(rf"^  {verb}\b", usage, re.M), f"the README names ./build.sh {verb}; --help does not"
    for path in set(re.findall(r"\b((?:src|tests|docker|vendor)/[\w./-]+\w)", text)):
        assert (ROOT / path).exists(), f"the README names {path}"
    flags = subprocess.run(
        [*RUNNER, str(BUILD / "worker"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    table = "".join(re.findall(r"^\| `--.*\n", text, re.M))
    for flag in set(re.findall(r"--(?:test|rp)_[a-z_]+", text) + re.findall(r"`(--[a-z-]+)", table)) - NOT_YET:
        assert flag in flags, f"the README names {flag}; worker --help does not"
