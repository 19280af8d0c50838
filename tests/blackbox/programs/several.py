"""A handler that has several jobs at a time (--handler-jobs) and does what each input tells."""
import json
import os
import sys

held = {}
kept = None  # the folder of the job with "keep"


def say(**message):
    print(json.dumps(message), flush=True)


say(ready=True)
for line in sys.stdin:
    job = json.loads(line)
    if job.get("stop"):
        say(log="asked to stop " + job["id"])
        if held.pop(job["id"], {}).get("on_stop") == "answer":
            say(id=job["id"], error="stopped")
        continue
    todo = job["input"]
    for message in todo.get("say", ()):
        say(id=job["id"], **message)
    if todo.get("keep"):
        kept = os.open(job["scratch"], os.O_RDONLY | os.O_DIRECTORY)
    if todo.get("late"):
        try:
            os.close(os.open("late", os.O_WRONLY | os.O_CREAT, dir_fd=kept))
        except FileNotFoundError:
            pass
        say(log=f"its folder: {os.listdir(job['scratch'])}")
    sys.stdout.write(todo.get("raw", "").replace("ID", job["id"]))
    if "exit" in todo:
        sys.stdout.flush()
        os._exit(todo["exit"])
    if "hold" in todo:
        held[job["id"]] = todo
        say(log=f"{len(held)} held")
        if len(held) == todo["hold"]:
            for name in reversed(held):
                say(id=name, output=[os.getpid(), name])
            held.clear()
    elif "raw" not in todo:
        say(id=job["id"], output=os.getpid())
    sys.stdout.flush()
