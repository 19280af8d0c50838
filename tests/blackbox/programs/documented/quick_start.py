"""Prints, waits as if it worked, returns what it was given; started where it is the program, not where it is imported."""
import time

import runpod


def handler(event):
    print("a job has come")
    wanted = event["input"]
    prompt, seconds = wanted.get("prompt"), wanted.get("seconds", 0)
    print(f"prompt: {prompt}, {seconds} s")
    time.sleep(seconds)
    return prompt


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
