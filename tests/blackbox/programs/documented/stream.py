"""A generator whose parts are a stream, and nothing but that."""
import runpod


def handler(job):
    for number in range(job["input"].get("count", 3)):
        yield f"part {number}"


runpod.serverless.start({"handler": handler})
