"""Waits for several things at a time."""
import asyncio

import runpod


async def ask(city):
    await asyncio.sleep(0.01)
    return {"city": city, "letters": len(city)}


async def handler(job):
    cities = job["input"]["cities"]
    found = await asyncio.gather(*(ask(city) for city in cities))
    return {"found": list(found), "count": len(found)}


runpod.serverless.start({"handler": handler})
