"""A handler that writes files into its job's folder, and says what the input tells.

    {"files": {NAME: TEXT}, "links": {NAME: TARGET}, "pipes": [NAME], "list": true, "run": SCRIPT, "print": TEXT,
     "say": [MESSAGE...], "die": true}

"$FOLDER" in what it says is the job's folder: the job's own, or RP_SCRATCH where it is started for each job.
"""
import json
import os
import signal
import subprocess
import sys


def work(job):
    folder = job.get("scratch") or os.environ.get("RP_SCRATCH", "")
    order = job["input"]
    if order.get("list"):
        print("its folder:", os.listdir(folder), file=sys.stderr, flush=True)
    for name, text in order.get("files", {}).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    for name, target in order.get("links", {}).items():
        os.symlink(target, os.path.join(folder, name))
    for name in order.get("pipes", []):
        os.mkfifo(os.path.join(folder, name))
    if "run" in order:
        subprocess.run(["/bin/sh", "-c", order["run"]], env={**os.environ, "FOLDER": folder}, check=False)
    if "print" in order:
        print(order["print"], file=sys.stderr, flush=True)
    for message in order.get("say", []):
        text = json.dumps(message).replace("$FOLDER", folder)
        print(text.replace("$PARENT", os.environ.get("RP_SCRATCH", "none")), flush=True)
    if order.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)


for line in sys.stdin:
    work(json.loads(line))
