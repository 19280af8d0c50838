"""The GPU, with a fake libcuda that has devices: --gpu-info, handlers, fitness, and a device that fails for good."""

import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actions import hand_out
from fakecuda import fake, fake_cuda, result_of, run_job
from gpulib import driver_folder, no_device, reachable_binary, run_unprivileged
from own_handlers import own
from workerproc import binary, mount_prefix

ECHO = (  # what the stock worker needs to start: a handler
    "--handler-once",
    shlex.join([sys.executable, "-S", "-E", "-c", "import json, sys; print(json.dumps(json.load(sys.stdin)['input']))"]),
)
REAL = {
    "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": None,
    "RUNPOD_SKIP_GPU_CHECK": None,
    "RUNPOD_MIN_MEMORY_GB": "0.01",
    "RUNPOD_MIN_DISK_PERCENT": "0",
    "RUNPOD_NETWORK_CHECK_TIMEOUT": "60",
    "RUNPOD_GPU_BENCHMARK_TIMEOUT": "60",  # of a device that is computed by this machine
}


@pytest.fixture
def run(local):
    """run(handler, input, **fake variables) -> exit status, result, everything printed."""
    return lambda handler, job, **variables: run_job(local, handler, job, fake(**variables))


def error_of(result):
    return json.loads(result["error"])


# ---- worker --gpu-info ----


def info(local, *flags, env, status, handler="worker-gpu"):
    done = local("--gpu-info", *flags, handler=handler, env=env)
    assert done.returncode == status, done.stdout
    return done.stdout


def test_info(local):
    text = info(local, env=fake(DEVICES=2, VERSION=12040), status=0)
    assert re.search(rf"^driver +{fake_cuda()}$", text, re.M)
    assert re.search(r"^CUDA +12\.4$", text, re.M)
    gpus = re.findall(r"^GPU (\d) +(.*)$", text, re.M)
    assert [number for number, _ in gpus] == ["0", "1"]
    assert gpus[1][1].startswith("Fake GPU 1, 1024 MiB, compute capability 9.0, 132 multiprocessors, GPU-")
    assert re.search(r"^time +find .* ms, load .* ms, initialise .* ms, devices .* ms$", text, re.M)


@pytest.mark.parametrize("getter", [0, 1])
def test_info_as_json(local, getter):
    begun = time.monotonic()
    found = json.loads(info(local, "--json", env=fake(GETTER=getter), status=0))
    whole_ms = 1000 * (time.monotonic() - begun)
    assert found["driver"] == {"file": fake_cuda(), "version": "", "cuda": "12.2", "cuda_version": 12020}
    (device,) = found["devices"]
    assert device == {
        "index": 0,
        "name": "Fake GPU 0",
        "uuid": "GPU-00102030-4050-6070-8090-a0b0c0d0e0f0",
        "memory_bytes": 1 << 30,
        "compute_capability": "9.0",
        "multiprocessors": 132,
        "max_threads_per_block": 1024,
    }
    assert set(found["ms"]) == {"find", "load", "initialise", "devices"} and found["error"] is None
    assert all(0 <= ms <= whole_ms for ms in found["ms"].values())


def test_slice_of_a_gpu_has_an_identity_of_its_own(local):
    assert re.search(r"Fake GPU 0 MIG 1g\.10gb, .*, MIG-00102030-4050-", info(local, env=fake(SLICE=1), status=0))


def test_info_by_flag_and_folder(local, tmp_path):
    """A folder will do; where the .1 link is missing, the file with the version in its name."""
    (tmp_path / "libcuda.so.535.261.03").symlink_to(fake_cuda())
    info(local, "--libcuda", str(tmp_path), env={}, status=0)
    (tmp_path / "libcuda.so.535.261.03").unlink()
    assert "no libcuda.so.1" in info(local, f"--libcuda={tmp_path}", env={}, status=3)


@pytest.mark.parametrize(
    "variables, status, words",
    [
        ({"DEVICES": 0}, 4, "no device.*CUDA_ERROR_NO_DEVICE .100."),
        ({"FAIL": "cuInit=803"}, 4, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH.*"),
        ({"FAIL": "cuInit=304"}, 4, r"\(304\).*is /proc mounted"),
        ({"FAIL": "cuInit=802"}, 4, r"\(802\).*the fabric manager"),
        ({"FAIL": "cuInit=804"}, 4, r"\(804\).*a compatibility package"),
        ({"FAIL": "cuInit=4711"}, 4, "unknown error .4711."),
        ({"FAIL": "cuDeviceGetCount=999"}, 4, "CUDA_ERROR_UNKNOWN.*dmesg on the host"),
        ({"VERSION": 10020}, 4, "CUDA 10.2.*needs a driver for 11.0"),
        ({"FAIL": "cuDeviceGetName=101"}, 1, "GPU 0: cuDeviceGetName: CUDA_ERROR_INVALID_DEVICE"),
    ],
)
def test_info_without_a_device(local, variables, status, words):
    assert re.search(words, info(local, env=fake(**variables), status=status))
    found = json.loads(info(local, "--json", env=fake(**variables), status=status))
    assert re.search(words, found["error"]) and not found["devices"] and found["driver"]["file"] == fake_cuda()


@pytest.mark.smoke
def test_info_without_a_driver(local, tmp_path):
    missing = tmp_path / "libcuda.so.1"
    assert f"no libcuda.so.1 in the folder {tmp_path}" in info(local, env={"RP_LIBCUDA": str(tmp_path)}, status=3)
    assert f"{missing}: No such file" in info(local, env={"RP_LIBCUDA": str(missing)}, status=3)
    missing.write_bytes(b"\x7fELF and no more")
    assert f"{missing}: it is" in info(local, env={"RP_LIBCUDA": str(missing)}, status=3)


@pytest.mark.smoke
def test_info_where_nothing_says_where_the_driver_is(local):
    done = local("--gpu-info", handler="worker-gpu")
    if done.returncode != 3:
        pytest.skip(f"THIS MACHINE HAS A DRIVER: {done.stdout.splitlines()[0]}")
    assert re.search("^no GPU .*no libcuda.so.1 in /usr/lib64, /usr/lib/[a-z0-9_]+-linux-gnu, ", done.stdout), done.stdout


def test_info_of_a_program_without_gpu(local):
    assert 'built without its part "gpu"' in info(local, env=fake(), status=2, handler="echo")
    assert "gpu" not in local("--help", handler="echo").stdout
    assert "use build/worker-gpu" in local("--help", "gpu", handler="worker").stdout
    assert "(default 11.8)" in local("--help", "gpu", handler="worker-gpu").stdout


@no_device
def test_driver_that_only_ldconfig_knows(tmp_path):
    """Its folder is none of the usual ones: /etc/ld.so.cache names it."""
    if not shutil.which("ldconfig", path="/usr/sbin:/sbin") or not Path("/etc/ld.so.cache").exists():
        pytest.skip("no ldconfig here: A DRIVER THAT ONLY ITS CACHE NAMES WAS NOT TESTED")
    cache, folders = tmp_path / "cache", tmp_path / "folders"
    folders.write_text(f"{Path(fake_cuda()).parent}\n")
    subprocess.run([shutil.which("ldconfig", path="/usr/sbin:/sbin"), "-X", "-C", cache, "-f", folders], check=True)
    command = [*mount_prefix("--bind", str(cache), "/etc/ld.so.cache"), str(binary("worker-gpu")), "--gpu-info", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert Path(found["driver"]["file"]).samefile(fake_cuda()) and len(found["devices"]) == 1, found


# ---- the shipped handlers ----


def test_vector_add(run):
    a, b = [float(i) for i in range(300)], [0.5] * 300
    status, result, _ = run("vector_add", {"a": a, "b": b})
    assert status == 0
    assert result == {"output": {"sum": [x + 0.5 for x in a], "device": "Fake GPU 0"}}


@pytest.mark.parametrize("variables", [{"DEVICES": 0}, None], ids=["no device", "no driver"])
@pytest.mark.parametrize("handler, job", [("vector_add", {"a": [1], "b": [2]}), ("matmul", {"n": 33})])
def test_handlers_go_on_without(run, local, variables, handler, job):
    if variables is None:
        done = local("--test_input", json.dumps({"input": job}), handler=handler, env={"RP_LIBCUDA": "/nowhere"})
        status, result = done.returncode, result_of(done)
        printed = done.stdout
    else:
        status, result, printed = run(handler, job, **variables)
    assert status == 0 and result["output"]["device"] == "CPU"
    assert ("/nowhere" if variables is None else "no device") in result["output"]["no_gpu"]
    assert len(re.findall(rf"^WARN .*the CPU does the work: {re.escape(result['output']['no_gpu'])}$", printed, re.M)) == 1


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
def test_matmul(run, local, n):
    status, result, _ = run("matmul", {"n": n, "seed": 7})
    output = result["output"]
    assert status == 0 and output["device"] == "Fake GPU 0" and output["max_error"] <= 1
    done = local("--test_input", json.dumps({"input": {"n": n, "seed": 7}}), handler="matmul", env={"RP_LIBCUDA": "/nowhere"})
    assert output["checksum"] == pytest.approx(result_of(done)["output"]["checksum"], rel=1e-3, abs=1e-3)


def checksum(n, seed):
    """Of the product that matmul has to compute."""

    def numbers(state):
        for _ in range(n * n):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            (top,) = struct.unpack("<i", struct.pack("<I", state >> 32))
            yield struct.unpack("<f", struct.pack("<f", top))[0] / 2**31

    a, b = list(numbers(seed)), list(numbers(2**64 - 1 - seed))
    return sum(a[row * n + k] * b[k * n + col] for row in range(n) for col in range(n) for k in range(n))


@pytest.mark.parametrize("job", [{"n": 3}, {"n": 40, "seed": 7}], ids=["usual seed", "seed"])
def test_matmul_on_the_cpu(local, job):
    begun = time.monotonic()
    done = local("--test_input", json.dumps({"input": job}), handler="matmul", env={"RP_LIBCUDA": "/nowhere"})
    whole_ms = 1000 * (time.monotonic() - begun)
    output = result_of(done)["output"]
    assert output["n"] == job["n"] and output["checksum"] == pytest.approx(checksum(job["n"], job.get("seed", 1)), rel=1e-5)
    assert 0 <= output["ms"] <= whole_ms
    if output["ms"] > 0.01:  # has three places
        assert output["gflops"] == pytest.approx(2 * job["n"] ** 3 / output["ms"] / 1e6, rel=0.06, abs=0.01)


@pytest.mark.parametrize(
    "handler, job", [("vector_add", {"a": [1, 2], "b": [3, 4]}), ("matmul", {"n": 20})]
)
def test_wrong_results_are_seen(run, handler, job):
    status, result, _ = run(handler, job, WRONG=1)
    assert status == 1 and "The GPU's" in error_of(result)["error_message"]


@pytest.mark.parametrize(
    "handler, job, why",
    [
        ("vector_add", {"a": [1], "b": [1, 2]}, "input.a has 1 numbers, input.b 2"),
        ("vector_add", {"a": [], "b": []}, "input.a must be a list of 1 to 10000000 numbers"),
        ("vector_add", {"a": [1]}, "input.b must be a list of 1 to 10000000 numbers"),
        ("vector_add", {"a": {"x": 1}, "b": [1]}, "input.a must be a list of 1 to 10000000 numbers"),
        ("vector_add", {"a": ["x"], "b": [1]}, "input.a[0] is not a number that fits a 32-bit float"),
        ("vector_add", {"a": [1, 2], "b": [1, None]}, "input.b[1] is not a number that fits a 32-bit float"),
        ("vector_add", {"a": [1e300], "b": [1]}, "input.a[0] is not a number that fits a 32-bit float"),
        ("matmul", {"n": 0}, "input.n must be an integer from 1 to 2048"),
        ("matmul", {"n": 2049}, "input.n must be an integer from 1 to 2048"),
        ("matmul", {"n": "20"}, "input.n must be an integer from 1 to 2048"),
        ("matmul", {}, "input.n must be an integer from 1 to 2048"),
        ("matmul", {"n": 20, "seed": "x"}, "input.seed must be an integer"),
    ],
)
def test_input_that_cannot_be_used(run, handler, job, why):
    status, result, _ = run(handler, job)
    assert status == 1 and error_of(result)["error_message"] == why


# ---- every call may fail ----

CALLS = """cuDeviceGet cuDeviceGetName cuDeviceTotalMem_v2 cuDeviceGetAttribute cuDevicePrimaryCtxRetain cuCtxSetCurrent
cuModuleLoadDataEx cuModuleGetFunction cuMemAlloc_v2 cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuStreamCreate
cuStreamSynchronize cuEventCreate cuEventRecord cuEventSynchronize cuEventElapsedTime cuLaunchKernel""".split()


@pytest.mark.parametrize("call", CALLS)
def test_failing_call(local, call):
    """A plain error of the setup or of the job: never a crash, never a result."""
    done = local("--test_input", '{"input": {"n": 20}}', handler="matmul", env=fake(FAIL=f"{call}=1@0"))
    assert done.returncode == 1, done.stdout
    assert '"output"' not in done.stdout
    why = "CUDA_ERROR_INVALID_VALUE (1): invalid argument"
    if "setup returned" in done.stdout:
        assert re.search(rf"^ERROR .*The GPU does not work: .*{re.escape(why)}$", done.stdout, re.M), done.stdout
    else:
        assert why in error_of(result_of(done))["error_message"]


def test_out_of_memory_is_the_jobs_failure(run, platform, worker):
    process = worker(platform, handler=own("gpu"), env=fake(MEMORY=200 << 20))
    before = platform.run({"do": "memory"})
    error = error_of(platform.run({"do": "fill_up"}))
    assert "allocate 67108864 bytes on GPU 0: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory" in error["error_message"]
    assert platform.run({"do": "poke"}) == {"output": 42}
    assert platform.run({"do": "memory"}) == before
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize("pools", [0, 1])
def test_memory_of_a_job_ends_with_it(platform, worker, tmp_path, pools):
    trace = tmp_path / "trace"
    process = worker(platform, "--concurrency", "4", handler=own("gpu"), env=fake(POOLS=pools, TRACE=trace))
    for number in range(20):
        platform.give({"id": f"j{number}", "input": {"do": "poke" if number % 2 else "copies"}})
    for number in range(20):
        expected = 42 if number % 2 else {"text": "axxdefg", "timed": True}
        assert platform.result(f"j{number}") == {"output": expected}
    process.terminate()
    assert process.wait() == 0
    calls = trace.read_text().splitlines()
    assert ("cuMemAllocAsync" in calls) == bool(pools) and ("cuMemAlloc_v2" in calls) != bool(pools)
    assert calls[-1] == "end: 0 bytes allocated"


def test_compilers_words(run):
    message = error_of(run(own("gpu"), {"do": "load"})[1])["error_message"]
    assert "CUDA_ERROR_INVALID_PTX (218)" in message and "Parsing error near 'nonsense'" in message


def test_kernel_that_is_not_there(run):
    message = error_of(run(own("gpu"), {"do": "find"})[1])["error_message"]
    assert 'kernel "nobody": CUDA_ERROR_NOT_FOUND (500)' in message


# ---- a device that has failed for good ----


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_sticky_error(platform, worker, concurrency):
    """The job fails with its name though its handler said all is well; the worker ends to be replaced."""
    process = worker(platform, "--concurrency", concurrency, handler=own("gpu"), env=fake())
    assert platform.run({"do": "poke"}) == {"output": 42}
    result = platform.run({"do": "illegal"})
    assert result["stopPod"] is True and "output" not in result
    assert "CUDA_ERROR_ILLEGAL_ADDRESS (700)" in error_of(result)["error_message"]
    assert error_of(result)["error_type"] == "GpuError"
    assert process.wait() == 1
    assert process.lines("ERROR.*failed for good.*ILLEGAL_ADDRESS")


def test_jobs_behind_a_sticky_error(make_platform, worker):
    """What was taken with it, or comes in the same batch, is no good result."""
    platform = make_platform()
    batch = [{"id": "bad", "input": {"do": "illegal"}}, {"id": "next", "input": {"do": "nothing"}}]
    platform.script("take", hand_out(*batch))
    process = worker(platform, handler=own("gpu"), env=fake())
    assert "ILLEGAL_ADDRESS" in platform.result("bad")["error"]
    assert "ILLEGAL_ADDRESS" in platform.result("next")["error"]
    assert process.wait() == 1


@pytest.mark.parametrize("code, name", [(214, "CUDA_ERROR_ECC_UNCORRECTABLE"), (719, "CUDA_ERROR_LAUNCH_FAILED")])
def test_sticky_error_of_a_call(platform, worker, code, name):
    process = worker(platform, handler="vector_add", env=fake(STICKY=f"cuLaunchKernel={code}@2"))
    job = {"a": [1], "b": [2]}
    assert platform.run(job)["output"]["sum"] == [3]
    result = platform.run(job)
    assert result["stopPod"] is True and name in error_of(result)["error_message"]
    assert process.wait() == 1


def test_sticky_error_in_a_process_of_its_own(platform, worker):
    process = worker(platform, "--isolate", handler=own("gpu"), env=fake())
    result = platform.run({"do": "illegal"})
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in error_of(result)["error_message"] and result["stopPod"] is True
    process.terminate()
    process.wait()


def test_sticky_error_of_a_local_test(run):
    status, result, _ = run(own("gpu"), {"do": "illegal"})
    assert status == 1 and "CUDA_ERROR_ILLEGAL_ADDRESS" in error_of(result)["error_message"]


# ---- the rarer functions of rp_gpu.h ----


@pytest.mark.parametrize(
    "deed, output",
    [
        ("streams", [7, 7, True]),
        ("graph", [0, 9, 9]),
        ("images", [True, True]),
        ("variable", [64, True]),
        ("call", {"version": 12020, "why": "made up: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"}),
        ("register", "yyyyyyyy"),
    ],
)
def test_deed(run, deed, output):
    status, result, printed = run(own("gpu"), {"do": deed})
    assert (status, result) == (0, {"output": output}), printed


def test_shared_memory_and_attributes_of_a_launch(run, tmp_path):
    """What is over 48 KiB is asked for once; a cluster and cooperation reach the driver."""
    _, result, printed = run(own("gpu"), {"do": "launch_ways"}, TRACE=tmp_path / "trace")
    assert result == {"output": [11, True]}, printed
    calls = (tmp_path / "trace").read_text().splitlines()
    assert calls.count("attribute 8 = 65536") == 1
    assert "launch attribute 4: 1 1 1" in calls and "launch attribute 2: 1 0 0" in calls
    assert "launch attribute 4: 1 2 1" in calls  # { 0, 2, 0 } is a cluster, too


@pytest.mark.parametrize("pools", [0, 1])
@pytest.mark.parametrize("allocated, used, freed", [(0, 0, 1), (1, 1, 0), (0, 1, 0), (0, 1, 2)])
def test_memory_outlives_what_was_asked_for_before_it_was_freed(run, tmp_path, pools, allocated, used, freed):
    """Whichever of the thread's streams is chosen then; the free itself is on the stream of the allocation."""
    job = {"do": "free_early", "allocated": allocated, "used": used, "freed": freed}
    status, result, printed = run(own("gpu"), job, POOLS=pools, TRACE=tmp_path / "trace")
    assert (status, result) == (0, {"output": "freed"}), printed
    calls = (tmp_path / "trace").read_text().splitlines()
    streams = [line.split()[-1] for line in calls if re.match("(allocate|free) on stream", line)]
    assert len(streams) == 2 * pools and len(set(streams)) <= 1 and calls[-1] == "end: 0 bytes allocated"


def test_module_is_unloaded_after_its_kernels(run, tmp_path):
    status, result, printed = run(own("gpu"), {"do": "unload"}, TRACE=tmp_path / "trace")
    assert (status, result) == (0, {"output": 5}), printed
    calls = (tmp_path / "trace").read_text().splitlines()
    launched, unloaded = calls.index("cuLaunchKernel"), calls.index("cuModuleUnload")
    assert "cuStreamSynchronize" in calls[launched:unloaded]


def test_the_driver_does_not_end_beside_a_thread(run, tmp_path):
    """What a thread frees as it ends, the driver's destructors would free as well."""
    assert run(own("gpu"), {"do": "poke"}, TRACE=tmp_path / "trace", THREAD_MS=100, END_MS=300)[0] == 0
    calls = (tmp_path / "trace").read_text().splitlines()
    before, beside = (calls[at] for at in (slice(calls.index("driver ends")), slice(calls.index("driver ends") + 1, None)))
    assert before.count("thread ends") == before.count("thread ended") and len(beside) == 1, calls


def test_capture_that_is_left_open_does_not_reach_the_next_job(platform, worker):
    process = worker(platform, handler=own("gpu"), env=fake())
    assert platform.run({"do": "forget_capture"}) == {"output": "captured"}
    assert platform.run({"do": "poke"}) == {"output": 42}
    process.terminate()


def test_freed_memory_stays_in_the_pool(run, tmp_path):
    run(own("gpu"), {"do": "poke"}, POOLS=1, TRACE=tmp_path / "trace")
    assert f"pool attribute 4 = {2**64 - 1}" in (tmp_path / "trace").read_text()


def test_failing_setup_shows_the_gpus_error(local):
    """The test's handler returns what rp_gpu_open or rp_gpu_load has returned and prints nothing itself."""
    done = local("--test_input", '{"input": 1}', handler=own("gpu"), env=fake(FAIL="cuModuleLoadDataEx=221"))
    assert done.returncode == 1
    assert re.search(
        r"^ERROR .*The handler's setup returned -2. The GPU's last error: load kernels on GPU 0: "
        r"CUDA_ERROR_JIT_COMPILER_NOT_FOUND \(221\): .*NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        done.stdout,
        re.M,
    ), done.stdout


def test_second_signal_while_a_kernel_runs(platform, worker, tmp_path):
    """The worker ends without the driver's destructors, which would wait for the kernel."""
    process = worker(platform, handler=own("gpu"), env=fake(TRACE=tmp_path / "trace"))
    platform.give({"id": "busy", "input": {"do": "spin", "ms": 60000}})
    process.wait_log("busy.*Started")
    process.terminate()
    process.wait_log("SIGTERM received")
    process.terminate()
    assert process.wait() == 1
    assert "end: " not in (tmp_path / "trace").read_text()


# ---- fitness ----

BRIEF = {"RUNPOD_GPU_TEST_TIMEOUT": "1"}
UNFIT = {
    "version": ({"VERSION": 11040}, {}, "cuda_version_check", "11.4, 11.8 is required"),
    "wanted version": ({}, {"RUNPOD_MIN_CUDA_VERSION": "12.10"}, "cuda_version_check", "12.2, 12.10 is required"),
    "no device": ({"DEVICES": 0}, {}, "cuda_init_check", "CUDA_ERROR_NO_DEVICE"),
    "no context": ({"FAIL": "cuDevicePrimaryCtxRetain=2"}, {}, "cuda_init_check", "GPU 0.*OUT_OF_MEMORY"),
    "memory": ({"MEMORY": 1 << 20}, {}, "gpu_memory_check", "cuMemAlloc.*OUT_OF_MEMORY"),
    "forgetful": ({"FORGETS": 1}, {}, "gpu_memory_check", "^GPU 0: .* does not read back what was written"),
    "second device": ({"DEVICES": 2, "FAIL": "cuMemsetD8_v2=214@2"}, {}, "gpu_memory_check", "GPU 1.*ECC_UNCORRECTABLE"),
    "launch": ({"FAIL": "cuLaunchKernel=719"}, {}, "gpu_compute_check", "LAUNCH_FAILED"),
    "for good": ({"STICKY": "cuLaunchKernel=719"}, {}, "gpu_compute_check", "^GPU 0: cuLaunchKernel: .*LAUNCH_FAILED"),
    "wrong": ({"WRONG": 1}, {}, "gpu_compute_check", "^GPU 0 computes wrong results"),
    "slow": ({"SLOW": "cuCtxSynchronize=1100"}, {"RUNPOD_GPU_BENCHMARK_TIMEOUT": "1"}, "gpu_compute_check", "too slow"),
    "hangs at first": ({"HANG": "cuDevicePrimaryCtxRetain"}, BRIEF, "cuda_init_check", "within 1 s while initialising"),
    "hangs with memory": ({"HANG": "cuMemAlloc_v2"}, BRIEF, "cuda_init_check", "within 1 s while allocating memory"),
    "hangs at work": ({"HANG": "cuCtxSynchronize"}, BRIEF, "cuda_init_check", "within 1 s while computing"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit(platform, worker, case):
    variables, changes, check, words = UNFIT[case]
    process = worker(platform, *ECHO, handler="worker-gpu", env={**REAL, **fake(**variables), **changes})
    platform.give(input=1)
    assert process.wait() == 1
    assert [request.route for request in platform.record] == ["ping"], platform.story()
    ping = platform.requests("ping")[0]
    assert ping.param("status") == "unhealthy" and ping.param("check") == check
    assert re.search(words, ping.param("reason")) and len(ping.param("reason")) <= 256


def test_fit(platform, worker):
    process = worker(platform, *ECHO, handler="worker-gpu", env={**REAL, **fake(DEVICES=2)})
    assert platform.run("fit") == {"output": "fit"}
    process.wait_log(r"Fitness check passed: 2 GPU")


def test_worker_of_a_program_keeps_nothing_of_the_check(platform, worker):
    """Its program has the card: the driver was in a process that has ended."""
    process = worker(platform, *ECHO, handler="worker-gpu", env={**REAL, **fake()})
    assert platform.run("fit") == {"output": "fit"}
    process.wait_log(r"Fitness check passed: 1 GPU")
    folder = Path(f"/proc/{process.pid}")
    assert "libcuda" not in (folder / "maps").read_text()
    assert (folder / f"task/{process.pid}/children").read_text() == ""


def test_check_that_crashes_in_the_driver(platform, worker):
    process = worker(platform, *ECHO, handler="worker-gpu", env={**REAL, **fake(CRASH="cuMemAlloc_v2")})
    assert process.wait() == 1
    assert platform.requests("ping")[0].param("reason") == "the process that checks the GPU has crashed in the driver"


@pytest.mark.parametrize("variable", ["RUNPOD_SKIP_GPU_CHECK", "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS"])
def test_checks_are_left_out(platform, worker, variable):
    worker(platform, *ECHO, handler="worker-gpu", env={**REAL, **fake(WRONG=1), variable: "true"})
    assert platform.run(1) == {"output": 1}


def test_no_gpu_expected(platform, worker):
    """A CPU worker is healthy without one, whatever the handler is linked with."""
    worker(platform, handler="vector_add", env={**REAL})
    assert platform.run({"a": [1], "b": [1]})["output"]["sum"] == [2]


def test_no_check_in_a_program_without_gpu(platform, worker):
    worker(platform, handler="echo", env={**REAL, **fake(WRONG=1)})
    assert platform.run(1) == {"output": 1}


@pytest.mark.parametrize(
    "name, value",
    [
        ("RUNPOD_MIN_CUDA_VERSION", "new"),
        ("RUNPOD_MIN_CUDA_VERSION", "12."),
        ("RUNPOD_MIN_CUDA_VERSION", "-1"),
        ("RUNPOD_GPU_BENCHMARK_TIMEOUT", "0"),
        ("RUNPOD_GPU_TEST_TIMEOUT", "soon"),
        ("RUNPOD_SKIP_GPU_CHECK", "perhaps"),
    ],
)
def test_value_that_cannot_be_used(platform, worker, name, value):
    process = worker(platform, handler="worker-gpu", env={**REAL, name: value})
    assert process.wait() == 2
    assert process.lines(name) and not platform.record


# ---- the real driver, on a machine without a device ----


@no_device
def test_real_driver_says_no_device():
    done = run_unprivileged(reachable_binary("worker-gpu"), "--gpu-info", "--json", "--libcuda", driver_folder())
    assert done.returncode == 4, done
    found = json.loads(done.stdout)
    assert "CUDA_ERROR_NO_DEVICE (100)" in found["error"] and found["driver"]["cuda_version"] >= 11000
    assert re.fullmatch(r"[\d.]+", found["driver"]["version"]) and not found["devices"]


@no_device
def test_handler_goes_on_with_the_real_driver():
    job = json.dumps({"input": {"a": [1, 2], "b": [3, 4]}})
    done = run_unprivileged(reachable_binary("vector_add"), "--libcuda", driver_folder(), "--test_input", job)
    assert done.returncode == 0, done
    assert result_of(done)["output"]["device"] == "CPU" and "NO_DEVICE" in result_of(done)["output"]["no_gpu"]
