#!/usr/bin/env python3
"""Works on several jobs at a time (--handler-jobs) with one model, and answers each when it is done."""
import asyncio
import json
import sys

tasks = {}


def say(**message):
    print(json.dumps(message), flush=True)


async def work(job):
    try:
        await asyncio.sleep(float(job["input"].get("seconds", 0)))  # a model at work
        say(id=job["id"], output=job["input"])
    except asyncio.CancelledError:
        say(id=job["id"], error="stopped")
    except Exception as problem:
        say(id=job["id"], error=str(problem), error_type=type(problem).__name__)
    finally:
        del tasks[job["id"]]


async def main():
    say(ready=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        job = json.loads(line)
        if job.get("stop"):
            if job["id"] in tasks:
                tasks[job["id"]].cancel()
            continue
        tasks[job["id"]] = asyncio.create_task(work(job))
    await asyncio.gather(*tasks.values())


asyncio.run(main())
