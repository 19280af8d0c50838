"""Programs as handlers, many at once: starts, ends and deaths on all slots. For ThreadSanitizer, too (tests/sanitize.sh)."""

import os
import signal

from children import children_of, failure, sh, wait_gone, wait_reaped

SLOTS = 8
IDLE_DEATH = "SIGKILL.* while it had no job"


def test_processes_of_once_start_and_end_at_once(worker, platform):
    process = worker(platform, "--handler-once", sh("cat >/dev/null; sleep 0.02 & echo $$"), "--concurrency", str(SLOTS),
                     handler="worker")
    jobs = [platform.give(input=number) for number in range(6 * SLOTS)]
    pids = [platform.result(job)["output"] for job in jobs]
    assert len(set(pids)) == len(jobs), "a process for each job"
    wait_reaped(platform, process)
    platform.wait_for(lambda: not children_of(process.pid) or None, "no child left")


def test_children_die_and_are_replaced_at_once(worker, platform):
    """At work on odd jobs, and idle by a signal; the even jobs are as if nothing had happened."""
    script = "while read -r job; do case $job in *odd*) exit 3;; esac; echo '{\"output\": 1}'; done"
    process = worker(platform, "--handler", sh(script), "--concurrency", str(SLOTS), "--handler-deaths", "1000",
                     handler="worker")
    for _ in range(2):
        even = [platform.give(input="even") for _ in range(2 * SLOTS)]
        odd = [platform.give(input="odd") for _ in range(SLOTS // 2)]
        assert [platform.result(job) for job in even] == [{"output": 1}] * len(even)
        for job in odd:
            assert "exited with status 3" in failure(platform.result(job))["error_message"]
        platform.wait_idle()
        told = len(process.lines(IDLE_DEATH))
        children = children_of(process.pid)
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait_log(IDLE_DEATH, told + 1)
        wait_gone(platform, *children)  # one that is only about to die would take a job along
    assert not process.ended


def test_the_worker_s_end_meets_starts_and_ends(worker, platform):
    """SIGTERM while processes start and end on all slots: what runs is finished, and nothing is left."""
    process = worker(platform, "--handler-once", sh("cat >/dev/null; setsid sleep 0.1 & echo 1"),
                     "--concurrency", str(SLOTS), handler="worker")
    jobs = [platform.give(input=number) for number in range(20 * SLOTS)]
    assert platform.result(jobs[0]) == {"output": 1}
    process.terminate()
    assert process.wait() == 0
    done = [job for job in jobs if platform.finals(job)]
    assert all(platform.result(job) == {"output": 1} for job in done)
    assert len(done) == len(process.lines(r"INFO .*\| Started\.$")), "a job was begun and not answered"
