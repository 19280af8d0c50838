"""Several jobs at a time, as many as a function of the handler's own says."""
import asyncio

import runpod

MOST, LEAST, BUSY = 6, 1, 4
request_rate = 0


async def handler(job):
    global request_rate
    request_rate += 1
    await asyncio.sleep(job["input"].get("delay", 0))
    return f"processed {job['input']['name']}"


def adjust_concurrency(current_concurrency):
    if request_rate < BUSY and current_concurrency < MOST:
        return current_concurrency + 1
    if request_rate > 100 * BUSY and current_concurrency > LEAST:
        return current_concurrency - 1
    return current_concurrency


runpod.serverless.start({"handler": handler, "concurrency_modifier": adjust_concurrency})
