"""The kit as an author has it: unpacked somewhere, without the repository. Its examples are built as they say themselves."""

import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import uuid
import zlib
from pathlib import Path

import pytest

from docker_base import PYTHON, make_compiler_image, make_image
from outcome import run_locally
from servers import tool
from shell import VERSION, sh
from test_docker import HARDENED, docker, engine  # noqa: F401 (a fixture)
from workerproc import ROOT

# In one process: several builds in the same folder would be in each other's way.
pytestmark = pytest.mark.xdist_group("build")


def answer(binary, value):
    """The output of a local test on that input."""
    status, result, log = run_locally(binary, {"input": value})
    assert status == 0 and result, log
    return result["output"]


def is_static(binary):
    headers = sh(f"readelf -lhdW '{binary}'", "/")
    return not re.search(r"INTERP|\(NEEDED\)", headers) and re.search(r"Type:\s+DYN", headers)


@pytest.fixture(scope="module")
def archive():
    sh("./build.sh --offline kit", ROOT)
    return ROOT / f"build/kit/slim-worker-{VERSION}-{os.uname().machine}.tar.gz"


@pytest.fixture(scope="module")
def kit(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a kit")  # a blank in the path is nothing special
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture
def example(kit, tmp_path):
    """example(NAME): a copy of that example to be built in, with the kit's compilers on the path."""

    def copy(name):
        shutil.copytree(kit / "examples", tmp_path / "examples")
        return tmp_path / "examples" / name

    return copy


@pytest.fixture
def path(kit):
    return f"{kit}/bin:{os.environ['PATH']}"


def test_archive_is_the_same_each_time(archive):
    before = hashlib.sha256(archive.read_bytes()).digest()
    sh("OUT=build B=build/$(uname -m) vendor/kit/pack.sh $(uname -m)", ROOT)
    assert hashlib.sha256(archive.read_bytes()).digest() == before
    with tarfile.open(archive) as packed:
        for member in packed:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, ""), member.name
            assert not member.issym() and member.mode in (0o755, 0o644), member.name


def test_sums_and_licences(kit):
    sh("sha256sum --quiet -c SHA256SUMS", kit)
    summed = {line.split("  ")[1] for line in (kit / "SHA256SUMS").read_text("utf-8").splitlines()}
    there = {str(path.relative_to(kit)) for path in kit.rglob("*") if path.is_file()}
    assert summed == there - {"SHA256SUMS"}
    for part in ("bearssl", "jsmn", "ring", "fiat-crypto", "musl", "ca-certificates", "gcc-runtime"):
        assert (kit / "licences" / part).stat().st_size > 300, part


def test_stock_binaries_are_in_it(kit):
    for name in ("worker", "worker-gpu"):
        assert (kit / "bin" / name).read_bytes() == (ROOT / "build" / name).read_bytes()


def test_library_takes_no_name_of_a_user(kit):
    """All that other objects may see begins with rp_, and nothing is left of LTO and debug information."""
    for name in ("libworker.a", "libworker_gpu.a"):
        symbols = sh(f"nm -g --defined-only --format=posix '{kit}/lib/{name}' 2>/dev/null", "/")
        names = {line.split()[0] for line in symbols.splitlines() if len(line.split()) > 2}
        assert names and not [one for one in names if not one.startswith("rp_")]
        assert not re.search(r"\.gnu\.lto|\.debug_", sh(f"readelf -SW '{kit}/lib/{name}'", "/"))
    public = re.findall(r"^(?!typedef)\w[\w ]*[ *](rp_\w+)\(", (kit / "include/worker.h").read_text("utf-8"), re.M)
    names = sh(f"nm -g --defined-only '{kit}/lib/libworker.a' 2>/dev/null", "/")
    assert "rp_start" in public and not [name for name in public if f" T {name}\n" not in names]


def test_linkers(kit, tmp_path):
    """The objects alone, by other linkers than the driver's, without --gc-sections, beside names that the worker has too."""
    (tmp_path / "own.c").write_text(
        "int buf_append(void);\nint buf_append(void) { return 1; }\nint br_ssl_engine_flush;\nint log_write;\n", "ascii"
    )
    for linker in ("bfd", "gold"):
        if not shutil.which(f"ld.{linker}"):
            continue
        command = f"musl-gcc -static -fuse-ld={linker} -I'{kit}/include' -o worker '{kit}/examples/c/greet.c' own.c"
        sh(f"{command} -L'{kit}/lib' -lworker", tmp_path)
        assert answer(tmp_path / "worker", {"name": "Ann"}) == {"greeting": "Ann"}


# --- the headers -----------------------------------------------------------------------------------

CXX_TABLE = """
#include <worker.h>
#include <rp_gpu.h>
struct nested { double weight; };
struct input { rp_str prompt; int64_t steps; int small; float ratio; bool fast; const char *size; rp_value any; nested more; };
static const rp_field inner[] = { { RP_FIELD(nested, weight), .fallback = { .number = 0.5 } } };
static const rp_field fields[] = {
    { RP_FIELD(input, prompt), .required = true, .max_length = 20 },
    { RP_FIELD(input, steps), .fallback = { .integer = 20 }, RP_RANGE(1, 150) },
    { RP_FIELD(input, small) },
    { RP_FIELD(input, ratio) },
    { RP_FIELD(input, fast) },
    { RP_FIELD(input, size), .fallback = { .string = "512x512" }, RP_ALLOW("512x512", "1024x1024") },
    { RP_FIELD(input, any) },
    { RP_FIELD(input, more), RP_FIELDS(inner) },
};
static int handle(rp_job *job, void *)
{
    input in;
    if (rp_validate(job, rp_input(job), fields, &in, 0) != RP_OK)
        return RP_FAILED;
    return rp_return(job, "[%S, %d, %Q, %B, %g]", &in.prompt, static_cast<int>(in.steps), in.size, in.fast, in.more.weight);
}
int launch(rp_gpu_kernel *kernel, rp_gpu_ptr data, int count);
int launch(rp_gpu_kernel *kernel, rp_gpu_ptr data, int count)
{
    return rp_gpu_launch(kernel, RP_GPU_DIM(1), RP_GPU_DIM(16, 2), 0, RP_GPU_ARGS(&data, &count));
}
int main(int argc, char **argv)
{
    rp_config config = {};
    config.handler = handle;
    return rp_start(argc, argv, &config);
}
"""


def test_headers_are_cxx(kit, tmp_path):
    """Both headers without a warning, and the tables of rp_validate."""
    (tmp_path / "headers.cc").write_text("#include <worker.h>\n#include <rp_gpu.h>\n", "ascii")
    (tmp_path / "table.cc").write_text(CXX_TABLE, "ascii")
    for compiler in filter(shutil.which, ("g++", "clang++")):
        for standard in ("c++11", "c++20"):
            sh(f"{compiler} -std={standard} -Wall -Wextra -pedantic -Werror -I'{kit}/include' -c headers.cc", tmp_path)
    warnings = "-Wall -Wextra -Wno-missing-field-initializers -pedantic -Werror"
    sh(f"'{kit}/bin/worker-c++' -std=c++20 -O1 {warnings} -o table table.cc", tmp_path)
    asked = {"prompt": "a", "size": "1024x1024", "fast": True, "more": {"weight": 2}}
    assert answer(tmp_path / "table", asked) == ["a", 20, "1024x1024", True, 2]
    assert answer(tmp_path / "table", {"prompt": "a"}) == ["a", 20, "512x512", False, 0.5]


# --- the drivers -----------------------------------------------------------------------------------


def test_c(kit, tmp_path):
    shutil.copy(kit / "examples/c/greet.c", tmp_path)
    sh(f"'{kit}/bin/worker-cc' -O2 -s -o greet greet.c", tmp_path)
    assert is_static(tmp_path / "greet")
    assert answer(tmp_path / "greet", {"name": "Ann"}) == {"greeting": "Ann"}


def is_packed(binary):
    return "(RELR)" in sh(f"readelf -dW '{binary}'", "/")


def test_relocations_are_packed_where_the_linker_can(kit, tmp_path):
    can = os.uname().machine == "x86_64" and "pack-relative-relocs" in sh("ld --help", "/")
    shutil.copy(kit / "examples/c/greet.c", tmp_path)
    for linker in ("", "-fuse-ld=bfd"):
        sh(f"'{kit}/bin/worker-cc' -O2 -s {linker} -o greet greet.c", tmp_path)
        assert is_packed(tmp_path / "greet") == (can and not linker), linker
        assert answer(tmp_path / "greet", {"name": "Ann"}) == {"greeting": "Ann"}


def test_c_with_lto_and_in_steps(kit, tmp_path):
    shutil.copy(kit / "examples/c/greet.c", tmp_path)
    sh(f"'{kit}/bin/worker-cc' -O2 -flto -c greet.c && '{kit}/bin/worker-cc' -O2 -flto greet.o", tmp_path)
    assert is_static(tmp_path / "a.out")
    assert answer(tmp_path / "a.out", {"name": "Ann"}) == {"greeting": "Ann"}


def test_gpu_part_is_linked_where_it_is_named(kit, tmp_path):
    sh(f"'{kit}/bin/worker-cc' -O2 -s -o gpu '{ROOT}/src/handlers/vector_add.c'", tmp_path)
    sh(f"'{kit}/bin/worker-cc' -O2 -s -o plain '{kit}/examples/c/greet.c'", tmp_path)
    assert answer(tmp_path / "gpu", {"a": [1, 2], "b": [10, 20]})["sum"] == [11, 22]
    assert b"cuGetProcAddress" in (tmp_path / "gpu").read_bytes()
    assert b"cuGetProcAddress" not in (tmp_path / "plain").read_bytes()


def test_libraries_of_glibc_are_refused(kit, tmp_path):
    """By name they are not found; what could not run, or is not hardened, does not stay."""
    shutil.copy(kit / "examples/c/greet.c", tmp_path)
    libc = sh("gcc -print-file-name=libc.so.6", "/").strip()
    assert "-lcrypt" in sh(f"'{kit}/bin/worker-cc' -o one greet.c -lcrypt", tmp_path, check=False)
    sh(f"'{kit}/bin/worker-cc' -o two greet.c {libc}", tmp_path, check=False)
    said = sh(f"'{kit}/bin/worker-cc' -o three greet.c -Wl,-z,execstack", tmp_path, check=False)
    assert "executable stack" in said and "three was removed" in said
    assert [path.name for path in tmp_path.iterdir()] == ["greet.c"]


def test_missing_musl_is_named(kit, tmp_path):
    said = sh(f"'{kit}/bin/worker-cc' -c x.c", tmp_path, check=False, WORKER_MUSL_LIB="/nowhere")
    assert "/nowhere/rcrt1.o" in said and "musl-dev" in said


GCC_OF_MUSL = """#!/bin/sh
[ "$*" != -dumpmachine ] || { echo MACHINE-alpine-linux-musl; exit; }
exec gcc -nostdinc -isystem /usr/include/MACHINE-linux-musl -isystem "$(gcc -print-file-name=include)" "$@"
"""


def test_c_where_gcc_is_for_musl(kit, tmp_path):
    """As on Alpine: a gcc that finds musl's headers by itself, and busybox for a shell and its tools."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "sed", "readlink", "grep", "rm", "printf"):
        (tools / name).symlink_to(tool("busybox", "busybox-static"))
    machine = os.uname().machine
    (tools / "alpine-gcc").write_text(GCC_OF_MUSL.replace("MACHINE", machine), "ascii")
    (tools / "alpine-gcc").chmod(0o755)
    settings = {"PATH": f"{tools}:{os.environ['PATH']}", "WORKER_CC": "alpine-gcc"}
    assert "there is no /usr/lib/rcrt1.o" in sh(f"sh '{kit}/bin/worker-cc' -c x.c", tmp_path, check=False, **settings)
    settings["WORKER_MUSL_LIB"] = f"/usr/lib/{machine}-linux-musl"
    build = f"sh '{kit}/bin/worker-cc' -O2 -s -o greet '{kit}/examples/c/greet.c'"
    sh(build, tmp_path, **settings)
    assert is_static(tmp_path / "greet")
    assert answer(tmp_path / "greet", {"name": "Ann"}) == {"greeting": "Ann"}
    assert "greet was removed" in sh(f"{build} -Wl,-z,execstack", tmp_path, check=False, **settings)


# --- the examples ----------------------------------------------------------------------------------


def test_cxx(example, path):
    folder = example("cxx")
    sh("worker-c++ -std=c++17 -O2 -Wall -Wextra -pedantic -Werror -o count count.cc", folder, PATH=path)
    assert is_static(folder / "count")
    assert answer(folder / "count", {"text": "to be or not to be"}) == {"be": 2, "not": 1, "or": 1, "to": 2}
    job = json.dumps({"input": {"text": " "}})
    assert "input.text holds no word" in sh(f"./count --test_input '{job}'", folder, check=False)


CXX_RUNTIME = """
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <locale>
#include <random>
#include <regex>
struct Noisy { ~Noisy() { std::cout << "thread's end "; } };
int main()
{
    std::thread([] { thread_local Noisy noisy; (void)&noisy; }).join();
    try {
        std::async(std::launch::async, []() -> int { throw std::logic_error("from a thread "); }).get();
    } catch (const std::exception &problem) {
        std::cout << problem.what();
    }
    try {
        std::locale german("de_DE.UTF-8");
    } catch (const std::runtime_error &) {
        std::cout << "no locale ";
    }
    std::condition_variable condition;
    std::mutex mutex;
    std::unique_lock lock(mutex);
    bool timed_out = condition.wait_for(lock, std::chrono::milliseconds(1)) == std::cv_status::timeout;
    std::ofstream("file.txt") << 3.5 << " " << std::toupper('a', std::locale()) << "\\n";
    std::string line;
    std::getline(std::ifstream("file.txt") >> std::ws, line);
    std::random_device()();
    std::cout << timed_out << std::regex_match(line, std::regex("[0-9.]+ [A-Z]"));
    std::cout << std::filesystem::file_size("file.txt") << std::endl;
}
"""


def test_cxx_library(kit, tmp_path):
    """What of libstdc++ leans on the C library."""
    (tmp_path / "runtime.cc").write_text(CXX_RUNTIME, "ascii")
    sh(f"'{kit}/bin/worker-c++' -std=c++17 -O1 -o runtime runtime.cc", tmp_path)
    assert is_static(tmp_path / "runtime")
    assert sh("./runtime", tmp_path) == "thread's end from a thread no locale 116\n"


def test_zlib(example, path, tmp_path):
    """Compiled from its source by the kit, as any library would be."""
    source = ROOT / "vendor/.src/zlib"
    if not source.exists():
        sh("vendor/fetch.sh zlib", ROOT)
    shutil.copytree(source, tmp_path / "zlib")
    sh("CC=worker-cc CFLAGS=-O1 ./configure --static && make -s libz.a", tmp_path / "zlib", PATH=path)
    sh("worker-cc -O2 -I../../zlib -o pack pack.c ../../zlib/libz.a", example("zlib"), PATH=path)
    found = answer(tmp_path / "examples/zlib/pack", {"text": "a" * 1000})
    assert found["bytes"] == 1000 and found["packed"] < 50 and found["crc32"] == zlib.crc32(b"a" * 1000)


def test_make(example, kit):
    folder = example("make")
    sh(f'make KIT="{kit}"' if " " not in str(kit) else 'ln -s "$KIT" kit && make KIT=kit', folder, KIT=str(kit))
    assert answer(folder / "mean", {"numbers": [1, 2, 6]}) == {"mean": 3}


def test_cmake(example, kit):
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed: the CMake example was NOT built")
    folder = example("cmake")
    sh('cmake -B build -DCMAKE_TOOLCHAIN_FILE="$KIT/lib/cmake/worker/toolchain.cmake"', folder, KIT=str(kit))
    sh("cmake --build build", folder)
    assert is_static(folder / "build/mean")
    assert answer(folder / "build/mean", {"numbers": [1, 2, 6]}) == {"mean": 3}


def test_pkg_config(kit, tmp_path):
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config is not installed")
    variables = {"PKG_CONFIG_PATH": str(kit / "lib/pkgconfig")}
    flags = sh("pkg-config --cflags --libs worker worker-gpu", tmp_path, **variables).replace("\\ ", " ")
    assert "-lworker_gpu" in flags and str(kit / "lib") in str(Path(re.search("-L(.*?) -l", flags)[1]).resolve())


def test_rust(example, path):
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed: the Rust example was NOT built")
    folder = example("rust")
    sh("cargo build --release --offline --quiet", folder)
    sh("worker-cc -O2 -o reverse main.c target/release/libhandler.a", folder, PATH=path)
    assert is_static(folder / "reverse")
    assert answer(folder / "reverse", {"text": "stressed \u017e"}) == {"reversed": "\u017e desserts"}


def takes(task, number):
    """True where that thread does not block the signal."""
    blocked = re.search(r"SigBlk:\s*(\w+)", (task / "status").read_text("ascii"))[1]
    return not int(blocked, 16) >> (number - 1) & 1


def test_go(example, path, platform, worker):
    """Go's runtime has threads and signal handlers of its own: the end by SIGTERM is still the worker's."""
    if not shutil.which("go"):
        pytest.skip("go is not installed: the Go example was NOT built")
    folder = example("go")
    where = {"HOME": str(folder), "GOCACHE": str(folder / "cache"), "GOPROXY": "off", "GOFLAGS": "", "PATH": path}
    sh("CC=worker-cc go build -buildmode=pie -ldflags '-linkmode external -s -w' -o count .", folder, **where)
    assert is_static(folder / "count")
    assert answer(folder / "count", {"text": "na\u00efve"}) == {"characters": 5, "bytes": 6}
    process = worker(platform, "--concurrency", "4", handler=str(folder / "count"))
    jobs = [platform.give(input={"text": "x" * length}) for length in range(50)]
    assert [platform.result(job) for job in jobs] == [{"output": {"characters": n, "bytes": n}} for n in range(50)]
    assert platform.run({"text": 1})["error"]
    # A thread of Go's takes the signal, as one of them may at any time: it passes it on.
    own = next(task for task in Path(f"/proc/{process.pid}/task").iterdir() if takes(task, signal.SIGTERM))
    assert ctypes.CDLL(None).tgkill(process.pid, int(own.name), int(signal.SIGTERM)) == 0
    process.wait_log("Shutting down")
    assert process.wait() == 0


def test_python(example, kit):
    """Started as the Dockerfile's ENTRYPOINT starts it, from the example's own folder."""
    folder = example("python")
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", (folder / "Dockerfile").read_text("utf-8"), re.M)[1])
    command = [str(kit / "bin/worker")] + [part.replace("/handler.py", f"{folder}/handler.py") for part in entry[1:]]
    job = json.dumps({"input": {"text": "stressed"}})
    done = subprocess.run(
        [*command, "--test_input", job], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    assert done.returncode == 0 and 'Job result: {"output": "desserts"}' in done.stdout, done.stdout


def test_handler_of_the_sdk(example, kit):
    """As its first lines say, on a Python without site-packages, where no SDK is."""
    folder = example("python")
    command = re.search(r"^    PYTHONPATH=\S+ (.*)$", (folder / "sdk_handler.py").read_text("utf-8"), re.M)[1]
    command = command.replace("../../bin", f"'{kit}'/bin").replace("python3", "python3 -S")
    said = sh(f"{command} --test_input '{{\"input\": {{\"text\": \"stressed\"}}}}'", folder, PYTHONPATH=str(kit / "python"))
    assert 'Job result: {"output": "desserts"}' in said


# --- their images, built on bases of our own, without pulling anything ------------------------------

TOOLS = ("busybox", "mkdir", "sed", "readlink", "grep", "rm", "printf")
# What it would install is there. Anything else is an error.
APT_GET = b"""#!/bin/sh
case "$*" in update | "install -y --no-install-recommends gcc libc6-dev musl-dev") ;; *) exit 1 ;; esac
"""


@pytest.fixture
def tags(engine):  # noqa: F811
    """tags(): names of images that are removed at the end."""
    made = []

    def tag():
        made.append(f"slim-worker-test-kit:{uuid.uuid4().hex[:12]}")
        return made[-1]

    yield tag
    for name in reversed(made):
        docker("image", "rm", "-f", name, check=False)


@pytest.fixture(scope="module")
def busybox():
    path = Path(tool("busybox", "busybox-static"))
    if "not a dynamic executable" not in subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stderr:
        pytest.skip("busybox is not static here (package busybox-static): THE EXAMPLES' DOCKERFILES WERE NOT BUILT")
    return path.read_bytes()


def built_image(folder, tag, base, *options):
    docker("build", "--network", "none", "--build-arg", f"BASE={base}", "-t", tag, *options, str(folder))
    return tag


def container_output(tag, given):
    """Of a local job, in a container without any right."""
    said = docker("run", *HARDENED, "--network", "none", tag, "--test_input", json.dumps({"input": given})).stdout
    return json.loads(re.search("Job result: (.*)", said)[1])["output"]


def test_c_in_two_stages(archive, kit, tags, busybox, tmp_path):
    """Compiled on a Debian, run alone: the worker and an empty /tmp."""
    for file in (kit / "examples/docker/Dockerfile", kit / "examples/c/greet.c", archive):
        shutil.copy(file, tmp_path)
    base = tags()
    links = {f"/bin/{name}": "/bin/sh" for name in TOOLS}
    make_compiler_image(base, {"/bin/sh": busybox, **links, "/usr/bin/apt-get": APT_GET})
    built_image(tmp_path, tags(), base, "--target", "build")  # with a name, by which it is removed
    tag = built_image(tmp_path, tags(), base)
    assert container_output(tag, {"name": "Ann"}) == {"greeting": "Ann"}
    listing = sh(f"id=$(docker create {tag}); docker export $id | tar -tv; docker rm $id >/dev/null", tmp_path)
    assert re.search(r"^drwxrwxrwt .* tmp/$", listing, re.M) and re.search(r"^-rwxr-xr-x .* worker$", listing, re.M)
    assert not re.search(r" (bin|lib|usr|opt|out)/", listing)


def test_python_with_the_worker_copied_in(kit, tags, busybox, tmp_path):
    shutil.copytree(kit / "examples/python", tmp_path, dirs_exist_ok=True)
    shutil.copy(kit / "bin/worker", tmp_path)
    base = tags()
    start = f'#!/bin/sh\nexec {PYTHON} "$@"\n'.encode()
    make_image(base, {"/bin/sh": busybox, "/usr/bin/python3": start, "/tmp/.keep": b""})
    assert container_output(built_image(tmp_path, tags(), base), {"text": "stressed"}) == "desserts"


# --- the manuals -----------------------------------------------------------------------------------


def test_manuals_link_to_what_is_there(kit):
    """Anchors of other sites and of the page itself aside."""
    broken = []
    for page in kit.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:\s]+)[)#]", page.read_text("utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(kit)}: {target}")
    assert not broken
    assert "](share/doc/src/AUDIT" in (kit / "README.md").read_text("utf-8")


# --- ./build.sh handler ----------------------------------------------------------------------------


def test_handler_of_several_files(example, path, tmp_path):
    """Both languages, flags and an archive, named from where the caller stands; the core is not made again."""
    folder = example("make")
    (folder / "extra.c").write_text("int extra(void);\nint extra(void) { return EXTRA; }\n", "ascii")
    sh("worker-cc -DEXTRA=1 -c extra.c && ar rcs libextra.a extra.o", folder, PATH=path)
    said = sh(f"'{ROOT}/build.sh' --offline handler main.c mean.cc -o out/mean -- -I. -DX=1 -O3 -L . -l extra -lm", folder)
    assert "building" not in said
    assert is_static(folder / "out/mean")
    assert answer(folder / "out/mean", {"numbers": [1, 2, 6]}) == {"mean": 3}


def test_handler_for_the_debugger(example):
    folder = example("make")
    said = sh(f"'{ROOT}/build.sh' --offline handler main.c mean.cc --debug -o mean", folder)
    assert re.search(r"^gdb .*unwind\.py --args \S+/mean", said, re.M)
    assert ".debug_info" in sh("readelf -SW mean", folder)


@pytest.mark.parametrize(
    "arguments, why",
    [
        ("", "wants files"),
        ("main.c libz.a", "libz.a is no C or C.. file"),
        ("nothing.c", "there is no file"),
        ("mean.cc -- -DX=(", "does not compile|syntax"),
        ("mean.cc", "does not link"),
    ],
)
def test_handler_that_cannot_be_built(example, arguments, why):
    folder = example("make")
    said = sh(f"'{ROOT}/build.sh' --offline handler -o bad {arguments}", folder, check=False)
    assert re.search(why, said), said
    assert not (folder / "bad").exists()
