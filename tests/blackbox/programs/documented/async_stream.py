"""An async generator, as servers of language models have it: tokens as they come, and an error in place of one."""
import asyncio

import runpod


async def tokens(prompt):
    for word in prompt.split():
        await asyncio.sleep(0)
        yield word


async def handler(job):
    prompt = job["input"].get("prompt")
    if prompt is None:
        yield {"error": "there is no prompt"}
        return
    async for token in tokens(prompt):
        yield {"token": token}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
