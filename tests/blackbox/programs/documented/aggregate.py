"""A generator whose parts are a stream, and together the output."""
import runpod


def process(item):
    if not isinstance(item, str):
        raise TypeError(f"{item!r} is no text")
    return item.upper()


def handler(job):
    for item in job["input"].get("items", []):
        yield {"item": item, "result": process(item)}


runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
