"""Answers every job with its input, upside down where it is text: a job a line in, an answer a line out."""
import json
import sys


def say(**message):
    print(json.dumps(message), flush=True)


say(ready=True)  # after whatever takes long: models are loaded here
for line in sys.stdin:
    job = json.loads(line)
    text = job["input"].get("text")
    if isinstance(text, str):
        say(id=job["id"], output=text[::-1])
    else:
        say(id=job["id"], error="input.text must be a string")
