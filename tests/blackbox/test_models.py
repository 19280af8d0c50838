"""Models that the platform has cached: found by programs, by C handlers, and missed with a reason."""

import json

import pytest

from children import sh
from own_handlers import own
from test_fitness import REAL, report_of

HASH, OLDER = "317b7eb96312eda0c431d1dab1af958a308cb35e", "0" * 40


@pytest.fixture
def hub(tmp_path):
    """A hub with two models, as Hugging Face's library lays it out: files are links to blobs."""
    hub = tmp_path / "hf home" / "hub"
    make_model(hub, "Org", "Some.Model-7B", {"config.json": "{}", "gguf/q4.gguf": "weights"})
    make_model(hub, "other", "model", {"weights": "w"}, refs={})
    make_model(hub, None, "gpt2", {"vocab": "v"})
    return hub


def make_model(hub, org, name, files, refs=None):
    folder = hub / "--".join(["models", *([org] if org else []), name])
    for at, revision in enumerate([HASH, OLDER] if refs is None else [HASH]):
        for file, content in files.items():
            blob = folder / "blobs" / f"{at}-{file.replace('/', '-')}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_text(content)
            link = folder / "snapshots" / revision / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    for ref, revision in ({"main": HASH, "v1": OLDER} if refs is None else refs).items():
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / ref).write_text(revision)
    return folder


def snapshot(hub, folder="models--Org--Some.Model-7B", revision=HASH):
    return f"{hub}/{folder}/snapshots/{revision}"


@pytest.fixture
def look(local, hub, tmp_path):
    """look(name) -> (code, path or reason) of rp_model_path."""

    def run(name, env=None, **more):
        result = tmp_path / "result.json"
        job = json.dumps({"input": {"action": "model", "name": name, **more}})
        done = local("--test_input", job, "--test_result", str(result), handler=own("archives"),
                     env={"HF_HUB_CACHE": str(hub)} if env is None else env)
        assert done.returncode == 0, done.stdout
        return tuple(json.loads(result.read_text())["output"])

    return run


# ---- found ----


@pytest.mark.parametrize("name, wanted", [
    ("Org/Some.Model-7B", ""),
    ("org/some.model-7b", ""),
    ("Org/Some.Model-7B@main", ""),
    (f"Org/Some.Model-7B@{HASH}", ""),
    ("Org/Some.Model-7B/config.json", "/config.json"),
    ("Org/Some.Model-7B@main/gguf/q4.gguf", "/gguf/q4.gguf"),
    ("Org/Some.Model-7B/gguf", "/gguf"),
])
def test_found(look, hub, name, wanted):
    assert look(name) == (0, snapshot(hub) + wanted)


def test_another_revision(look, hub):
    assert look("Org/Some.Model-7B@v1") == (0, snapshot(hub, revision=OLDER))
    assert look(f"Org/Some.Model-7B@{OLDER}/config.json") == (0, snapshot(hub, revision=OLDER) + "/config.json")


def test_a_model_without_refs_or_without_an_organization(look, hub):
    assert look("other/model") == (0, snapshot(hub, "models--other--model"))
    assert look("gpt2@main/vocab") == (0, snapshot(hub, "models--gpt2") + "/vocab")


def test_a_folder_in_lower_case(look, hub):
    """As the platform may name it; one with the right case wins over it."""
    (hub / "models--Org--Some.Model-7B").rename(hub / "models--org--some.model-7b")
    assert look("Org/Some.Model-7B") == (0, snapshot(hub, "models--org--some.model-7b"))
    make_model(hub, "Org", "Some.Model-7B", {"x": "y"})
    assert look("Org/Some.Model-7B") == (0, snapshot(hub))


def test_where_it_is_looked_for(look, hub, tmp_path):
    other = tmp_path / "empty"
    assert look("gpt2", env={"HF_HOME": str(hub.parent)})[0] == 0
    assert look("gpt2", env={"HF_HUB_CACHE": str(other), "HF_HOME": str(hub.parent)})[0] == 0
    make_model(other, None, "gpt2", {"vocab": "first"})
    both = {"HF_HUB_CACHE": str(other), "HF_HOME": str(hub.parent)}
    assert look("gpt2", env=both) == (0, snapshot(other, "models--gpt2"))
    code, reason = look("gpt2", env={})
    assert code == 1 and "/runpod-volume/huggingface-cache/hub" in reason


# ---- not found ----


def test_what_is_missing_is_named_with_what_is_there(look, hub, tmp_path):
    code, reason = look("Org/Other")
    assert code == 1 and "the model Org/Other is not in the cache" in reason
    assert all(name in reason for name in ("Org/Some.Model-7B", "other/model", "gpt2")), reason
    code, reason = look("Org/Some.Model-7B@v2")
    assert code == 1 and "no revision v2" in reason and HASH in reason and OLDER in reason
    code, reason = look("Org/Some.Model-7B/absent.gguf")
    assert code == 1 and "no file absent.gguf" in reason and "config.json" in reason
    code, reason = look("a/b", env={"HF_HUB_CACHE": str(tmp_path / "nowhere")})
    assert code == 1 and f"{tmp_path / 'nowhere'} does not exist" in reason


@pytest.mark.parametrize("name", [
    "", "/", "Org/", "/Model", "Org/..", "../x", "Org/Model@", "Org/Model@..", "Org/Model@../../x", "Org/Model/",
    "Org/Model/../x", "Org/Model/a/../b", "Org/Model//a", "Org/Model/.", "Org/a b", "Org\\Model", "Org/Model/a\\b",
    "Org/Model@a b", "Org/Model/" + "x" * 300, ".", "..", "Org/Mo\ndel",
])
def test_no_name_leads_elsewhere(look, name):
    code, reason = look(name)
    assert code == -1 and "is not the name of a model" in reason


def test_a_path_that_does_not_fit(look, hub):
    code, reason = look("gpt2", room=32)
    assert code == -1 and len(reason) == 31


@pytest.mark.parametrize("content", ["../../../../outside", "..", "", "a/b", "a\0b", "x" * 300])
def test_no_ref_leads_elsewhere(look, hub, content):
    (hub / "models--gpt2/refs/main").write_text(content)
    code, reason = look("gpt2")
    assert code == 1 and "refs/main holds no revision" in reason


def test_no_link_leads_elsewhere(look, hub, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    folder = hub / "models--gpt2"
    (folder / "snapshots" / HASH / "stolen").symlink_to(outside / "secret")
    code, reason = look("gpt2@main/stolen")
    assert code == 1 and "leads out of the cache" in reason
    (folder / "refs/main").write_text("evil")
    (folder / "snapshots/evil").symlink_to(outside)
    assert "leads out of the cache" in look("gpt2")[1]
    (folder / "refs/main").unlink()
    (folder / "refs/main").symlink_to(outside / "secret")
    assert look("gpt2@main")[0] == 1


# ---- in the words of a command line ----


def test_the_words_of_a_program(local, hub, tmp_path):
    script = 'read job; printf \'{"output": "%s"}\\n\' "$1 $2"'
    command = f"{sh(script)} x --model={{model:org/some.model-7b}} '{{model:gpt2@main/vocab}}:{{model:gpt2}}'"
    result = tmp_path / "result.json"
    local("--handler", command, "--test_input", '{"input": 1}', "--test_result", str(result), handler="worker",
          env={"HF_HUB_CACHE": str(hub)})
    gpt2 = snapshot(hub, "models--gpt2")
    assert json.loads(result.read_text()) == {"output": f"--model={snapshot(hub)} {gpt2}/vocab:{gpt2}"}


@pytest.mark.parametrize("word, reason", [
    ("{model:no/such}", "the model no/such is not in the cache"),
    ("{model:../x}", '"../x" is not the name of a model'),
    ("{model:gpt2", "has no closing brace"),
])
def test_words_that_cannot_be_used(local, hub, word, reason):
    done = local("--handler-once", f"cat {word}", "--test_input", '{"input": 1}', handler="worker",
                 env={"HF_HUB_CACHE": str(hub)})
    assert done.returncode == 2 and "--handler-once: " in done.stdout and reason in done.stdout


# ---- a machine without the model ----


def check_reported(platform, process):
    """The worker ends, the platform has the reason, and a job waits for another worker."""
    platform.give(input=1)
    assert process.wait() == 1
    ping = report_of(platform)
    assert ping.param("check") == "model_check" and "the model Org/Absent is not in the cache" in ping.param("reason")
    assert process.lines("ERROR.*Fitness check failed: model_check .*Org/Absent")
    assert platform.pending(), "the job, which nobody took"


@pytest.mark.parametrize("flags", [
    ["--handler", "cat {model:Org/Absent}"],
    ["--handler", "cat {model:Org/Absent}", "--handler-http", "http://127.0.0.1:9"],
    ["--handler-once", "cat", "--fitness", "cat {model:Org/Absent}"],
], ids=["program", "server", "fitness"])
def test_a_machine_without_the_model_is_reported(platform, worker, hub, flags):
    process = worker(platform, *flags, handler="worker", env={"HF_HUB_CACHE": str(hub)})
    check_reported(platform, process)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_models_that_must_be_there(platform, worker, hub, how):
    """Whatever checks are left out; the first one that is missing is named."""
    names = ["org/some.model-7b@v1", "Org/Absent"]
    flags = [word for name in names for word in ("--fitness-model", name)] if how == "flag" else []
    env = {"HF_HUB_CACHE": str(hub), "RP_FITNESS_MODEL": "x/y" if flags else " ".join(names)}
    process = worker(platform, *flags, handler="echo", env=env)
    check_reported(platform, process)


@pytest.mark.parametrize(
    "flags", [["--fitness-model", "other/model/weights"], ["--fitness", "test -d {model:gpt2}"]], ids=["flag", "words"]
)
def test_models_that_are_there_are_a_check_that_passes(platform, worker, hub, flags):
    """Beside the others, before the handler is ready."""
    env = {**REAL, "HF_HUB_CACHE": str(hub)}
    process = worker(platform, *flags, handler="echo", env=env)
    assert platform.run(1) == {"output": 1}
    passed = [line.rpartition(" ")[2] for line in process.lines("Fitness check passed")]
    assert passed[:4] == ["memory_check", "disk_check", "network_check", "model_check"]


def test_no_model_no_check(platform, worker):
    process = worker(platform, handler="echo", env=REAL)
    assert platform.run(1) == {"output": 1}
    assert not process.lines("model_check")


def test_name_of_a_model_that_cannot_be_used(local, hub):
    """Behind one that is not there, too, which alone would be a check's business."""
    flags = ["--fitness-model", "org/absent", "--fitness-model", "../x"]
    done = local(*flags, "--test_input", '{"input": 1}', env={"HF_HUB_CACHE": str(hub)})
    assert done.returncode == 2 and '--fitness-model: "../x" is not the name of a model' in done.stdout


def test_a_check_in_c(platform, worker, hub):
    env = {"HF_HUB_CACHE": str(hub), "MODEL_TO_CHECK": "org/absent"}
    process = worker(platform, handler=own("archives"), env=env)
    assert process.wait() == 1
    ping = report_of(platform)
    assert ping.param("check") == "model_is_there" and "org/absent is not in the cache" in ping.param("reason")


def test_a_check_in_c_that_passes(platform, worker, hub):
    worker(platform, handler=own("archives"), env={"HF_HUB_CACHE": str(hub), "MODEL_TO_CHECK": "gpt2"})
    assert platform.run({"action": "model", "name": "gpt2"})["output"][0] == 0
