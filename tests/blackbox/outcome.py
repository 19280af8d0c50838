"""Local runs outside of the fixtures, and how the job of one ended, from its log."""

import json
import re
import subprocess


def run_locally(binary, job, timeout_s=60):
    """Runs the job in an empty environment: exit status, the result or None, everything printed."""
    done = subprocess.run(
        [str(binary), "--test_input", json.dumps(job)],
        env={},
        cwd=binary.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        check=False,
    )
    found = re.search("Job result: (.*)", done.stdout)
    return done.returncode, json.loads(found[1]) if found else None, done.stdout


def outcome(log):
    """The job's output, or its error's message."""
    for line in log.splitlines():
        if line.startswith("INFO   | Job result: "):
            return json.loads(line.partition("result: ")[2])["output"]
        if "failed with error: " in line:
            return json.loads(json.loads(line.partition("error: ")[2])["error"])["error_message"]
    raise AssertionError(log)
