"""tests/CONTRACT.md, "Concurrency": N slots, batches, the next take as soon as a slot is free, more and fewer slots on the way."""

import pytest

from actions import answer, hand_out, hold, reset
from own_handlers import Gate, own, steps
from testplatform import FAST_PING

SHORT_POLL_S = 5  # where the job-take that is held was asked for fewer slots than the test waits for


@pytest.fixture
def start(worker):
    return lambda platform, *flags, **how: worker(platform, *flags, handler=own("steps"), **how)


@pytest.fixture
def gates(tmp_path):
    return [Gate(tmp_path / f"gate-{number}") for number in range(8)]


def wait_open_take(platform, slots, busy):
    """Until a job-take for so many slots (None: however many) is held."""

    def found():
        takes = platform.requests("take")
        take = takes[-1] if takes else None
        return (
            take
            and take.answered is None
            and not take.dropped
            and slots in (None, int(take.param("batch_size") or "1"))
            and take.param("job_in_progress") == str(int(busy))
            and take
        )

    return platform.wait_for(found, f"an open job-take for {slots}, busy: {busy}")


def wait_running(process, *names):
    """Until each of these jobs is at its first step."""
    for name in names:
        process.wait_log(rf"\| {name} \| at step 1$")


def test_url_of_a_batch(platform, start):
    start(platform, "--concurrency", "4")
    take = platform.wait_request("take")
    assert take.target == "/v2/ep0test/job-take-batch/pod-7x2?gpu=NVIDIA+L4&batch_size=4&job_in_progress=0"
    assert platform.wait_request("stop").target == "/v2/ep0test/job-stop/pod-7x2?gpu=NVIDIA+L4"


def test_url_with_free_slots_counted_down(platform, start, gates):
    """The batch is as large as there are slots free; for the last one it is no batch."""
    process = start(platform, env={"RP_CONCURRENCY": "3"})
    for number in range(2):
        platform.give({"id": f"g{number}", "input": steps(gates[number].step, {"return": number})})
        wait_running(process, f"g{number}")
    take = wait_open_take(platform, 1, True)
    assert take.target == "/v2/ep0test/job-take/pod-7x2?gpu=NVIDIA+L4&job_in_progress=1"
    assert [seen.param("batch_size") for seen in platform.requests("take")] == ["3", "2", None]
    gates[0].open()
    gates[1].open()
    assert platform.result("g0") == {"output": 0} and platform.result("g1") == {"output": 1}


def test_template_that_knows_no_batch(platform, start):
    """Then jobs are taken one by one, as many as there are slots."""
    process = start(
        platform, "--concurrency", "2", env={"RUNPOD_WEBHOOK_GET_JOB": f"{platform.base}/take/$ID?a=b"}
    )
    for name in ("a", "b"):
        platform.give({"id": name, "input": steps({"await_stop": 120_000})})
    wait_running(process, "a", "b")
    assert [take.target for take in platform.requests("take")] == [
        "/take/pod-7x2?a=b&job_in_progress=0",
        "/take/pod-7x2?a=b&job_in_progress=1",
    ]


def test_all_slots_at_once(platform, start, gates):
    """Four jobs of one batch are all at work at the same time."""
    platform.poll_s = SHORT_POLL_S
    process = start(platform, "--concurrency", "4", env={"RUNPOD_PING_INTERVAL": "200"})
    names = [f"job-{number}" for number in range(4)]
    platform.script(
        "take", hand_out(*[{"id": name, "input": steps(gates[n].step, {"return": n})} for n, name in enumerate(names)])
    )
    wait_running(process, *names)
    platform.wait_ping(*names)
    assert not platform.requests("done")
    for number in reversed(range(4)):
        gates[number].open()
        assert platform.result(f"job-{number}") == {"output": number}
    wait_open_take(platform, 4, False)


def test_next_take_when_one_slot_is_free(platform, start, gates):
    """Not when all of them are."""
    process = start(platform, "--concurrency", "2")
    platform.script(
        "take", hand_out(*[{"id": f"g{n}", "input": steps(gates[n].step, {"return": n})} for n in range(2)])
    )
    wait_running(process, "g0", "g1")
    assert len(platform.requests("take")) == 1
    gates[1].open()
    wait_open_take(platform, 1, True)
    assert platform.run(steps({"return": "beside it"})) == {"output": "beside it"}
    assert not platform.finals("g0")
    gates[0].open()
    assert platform.result("g0") == {"output": 0}


def test_job_counts_until_its_result_is_settled(platform, start):
    """It is in progress while its result is still retried, although its slot may be free for the next one."""
    start(platform, "--concurrency", "2")
    held = hold()
    platform.script("done", reset(), held)
    platform.give({"id": "late", "input": steps({"return": 1})})
    platform.wait_for(held.reached.is_set, "the second try")
    wait_open_take(platform, None, True)
    held.release(answer(200))
    assert platform.result("late") == {"output": 1}


def test_more_jobs_than_slots(platform, start, gates):
    """They wait for their turn; nothing is taken until there is room, and none is lost."""
    process = start(platform, "--concurrency", "2", env=FAST_PING)
    platform.script(
        "take", hand_out(*[{"id": f"g{n}", "input": steps(gates[n].step, {"return": n})} for n in range(5)])
    )
    wait_running(process, "g0", "g1")
    platform.wait_ping(*[f"g{n}" for n in range(5)])
    assert len(process.lines("at step 1")) == 2 and len(platform.requests("take")) == 1
    gates[0].open()
    wait_running(process, "g2")
    gates[1].open()
    wait_running(process, "g3")
    assert len(platform.requests("take")) == 1
    gates[2].open()
    wait_running(process, "g4")
    assert not platform.requests("take")[1:]
    gates[3].open()
    wait_open_take(platform, 1, True)
    gates[4].open()
    for number in range(5):
        assert platform.result(f"g{number}") == {"output": number}


def test_batch_of_good_and_bad(platform, start):
    """Junk, a job without input and the same id twice: each costs only itself."""
    process = start(platform, "--concurrency", "4")
    good = {"id": "good", "input": steps({"return": "fine"})}
    platform.script("take", hand_out(None, good, {"input": 1}, [], {"id": "bare"}, {"id": 7, "input": steps({"return": 7})}, good))
    assert platform.result("good") == {"output": "fine"}
    assert platform.result("7") == {"output": 7}
    assert "input" in platform.result("bare")["error"]
    assert platform.run(steps({"return": "next"})) == {"output": "next"}
    assert len(platform.finals("good")) == 1
    assert process.lines(r"WARN .*\| good \| Duplicate job ignored: it is still running\.")


def test_one_id_many_times(platform, start, gates):
    """One line for all of them."""
    process = start(platform, "--concurrency", "4")
    job = {"id": "same", "input": steps(gates[0].step, {"return": 1})}
    platform.script("take", hand_out(job, job, job, job))
    assert "same" in process.wait_log("WARN .*3 duplicate jobs ignored, starting with this one")
    gates[0].open()
    assert platform.result("same") == {"output": 1}
    assert len(platform.finals("same")) == 1 and not process.lines("Duplicate job")


def test_one_object_as_the_answer_to_a_batch(platform, start):
    start(platform, "--concurrency", "3")
    platform.script("take", hand_out({"id": "single", "input": steps({"return": 1})}, as_array=False))
    assert platform.result("single") == {"output": 1}


def test_results_are_not_mixed_up(platform, worker):
    """Eight slots, three hundred jobs with inputs of many sizes: each gets its own answer, once."""
    worker(platform, "--concurrency", "8")
    inputs = {f"m{n}": {"n": n, "pad": f"{n}-" * (n * 37 % 900)} for n in range(300)}
    for job, value in inputs.items():
        platform.give({"id": job, "input": value})
    for job, value in inputs.items():
        assert platform.result(job) == {"output": value}
    assert all(post.header("X-Request-ID") == post.job_id for post in platform.requests("done"))
    assert len(platform.requests("done")) == 300


def test_connections_are_kept(platform, worker):
    """Results keep their connections: one a slot and two that are posted beside the next jobs; takes, stops, pings."""
    worker(platform, "--concurrency", "4")
    for number in range(60):
        platform.give({"id": f"k{number}", "input": number})
    for number in range(60):
        platform.result(f"k{number}")
    posts = [post.connection for post in platform.requests("done")]
    assert len(posts) >= 60 and max(posts.count(connection) for connection in posts) > 5
    assert len({other.connection for other in platform.record} - set(posts)) <= 3


def test_stop_of_one_among_many(platform, start, gates):
    process = start(platform, "--concurrency", "3")
    platform.script(
        "take",
        hand_out(
            {"id": "a", "input": steps(gates[0].step, {"return": "a"})},
            {"id": "b", "input": steps({"await_stop": 120_000}, {"return": "b"})},
            {"id": "c", "input": steps(gates[1].step, {"return": "c"})},
        ),
    )
    wait_running(process, "a", "b", "c")
    platform.stop_jobs("b")
    wait_open_take(platform, 1, True)
    gates[0].open()
    gates[1].open()
    assert platform.result("a") == {"output": "a"} and platform.result("c") == {"output": "c"}
    assert not platform.requests("done", "b")


def test_signal_lets_all_slots_finish(platform, start, gates):
    process = start(platform, "--concurrency", "3")
    platform.script(
        "take", hand_out(*[{"id": f"g{n}", "input": steps(gates[n].step, {"return": n})} for n in range(3)])
    )
    wait_running(process, "g0", "g1", "g2")
    process.terminate()
    process.wait_log("Waiting for 3 jobs")  # said when nothing is taken any more
    for number in (2, 0, 1):
        gates[number].open()
        assert platform.result(f"g{number}") == {"output": number}
    assert process.wait() == 0


# ---- the modifier ----


class Dial:
    """The file that tells the steps handler's modify_concurrency what to answer."""

    def __init__(self, path):
        self.path = path
        self.env = {"STEPS_CONCURRENCY": str(path)}

    def turn(self, number):
        part = self.path.with_name("part")
        part.write_text(f"{number}\n")
        part.rename(self.path)


@pytest.fixture
def dial(tmp_path):
    return Dial(tmp_path / "concurrency")


def test_more_slots_while_one_job_runs(platform, start, gates, dial):
    """All slots are busy and stay so: the worker asks all the same, and nothing is drained."""
    platform.poll_s = SHORT_POLL_S
    dial.turn(1)
    process = start(platform, env=dial.env)
    platform.give({"id": "long", "input": steps(gates[0].step, {"return": "long"})})
    wait_running(process, "long")
    dial.turn(3)
    take = wait_open_take(platform, 2, True)
    assert "/job-take-batch/" in take.target
    for name in ("b", "c"):
        platform.give({"id": name, "input": steps({"return": name})})
    assert platform.result("b") == {"output": "b"} and platform.result("c") == {"output": "c"}
    assert not platform.finals("long")
    gates[0].open()
    assert platform.result("long") == {"output": "long"}
    wait_open_take(platform, 3, False)


def test_fewer_slots_drain_nothing(platform, start, gates, dial):
    """From three to one: what runs goes on, and there is no take until the last of them has ended."""
    platform.poll_s = SHORT_POLL_S
    dial.turn(3)
    process = start(platform, env={**dial.env, **FAST_PING})
    platform.script(
        "take", hand_out(*[{"id": f"g{n}", "input": steps(gates[n].step, {"return": n})} for n in range(3)])
    )
    wait_running(process, "g0", "g1", "g2")
    dial.turn(1)
    process.wait_log("concurrency is now 1")
    for number in range(2):
        gates[number].open()
        assert platform.result(f"g{number}") == {"output": number}
    platform.wait_more("ping", 2)
    assert len(platform.requests("take")) == 1
    gates[2].open()
    assert platform.result("g2") == {"output": 2}
    take = wait_open_take(platform, 1, False)
    assert "/job-take/" in take.target


def test_up_and_down_under_load(platform, start, dial):
    """The number changes all the time; every job has its result."""
    process = start(platform, env=dial.env)
    for number in range(120):
        if number % 10 == 0:
            dial.turn(1 + number // 10 % 5)
        platform.give({"id": f"u{number}", "input": steps({"await_stop": 2}, {"return": number})})
        if number % 10 == 9:
            platform.result(f"u{number}")
    for number in range(120):
        assert platform.result(f"u{number}") == {"output": number}
    sizes = {int(take.param("batch_size") or 1) for take in platform.requests("take")}
    assert len(sizes) > 1 and max(sizes) <= 5, process.lines("concurrency is now")


@pytest.mark.parametrize("answer_, slots", [("-7", 1), ("0", 1), ("100000", 1000)])
def test_answers_out_of_range_are_held_within(platform, start, dial, answer_, slots):
    dial.turn(answer_)
    start(platform, env=dial.env)
    wait_open_take(platform, slots, False)


# ---- the option ----


@pytest.mark.parametrize("value", ["0", "-1", "1001", "many", "", "1.5", "4x"])
def test_bad_number(local, value):
    done = local("--concurrency", value, env={"RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:9/job-take/$ID"})
    assert done.returncode == 2 and "concurrency" in done.stdout
    if value:
        done = local(env={"RP_CONCURRENCY": value, "RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:9/job-take/$ID"})
        assert done.returncode == 2 and "RP_CONCURRENCY" in done.stdout


def test_flag_wins(platform, start):
    start(platform, "--concurrency=5", env={"RP_CONCURRENCY": "3"})
    wait_open_take(platform, 5, False)
