"""The official Python clients against a worker: clients.py NAME BASE_URL. Run by the Python of build/venv-clients.

Each scenario prints what the client returned, as JSON; test_clients.py judges it.
"""

import asyncio
import json
import os
import sys


def sync_client(base):
    os.environ["RUNPOD_ENDPOINT_BASE_URL"] = f"{base}/v2"
    import runpod  # reads the variable when it is imported

    runpod.api_key = "a-key"
    endpoint = runpod.Endpoint("ep-1")
    said = {}
    request = endpoint.run({"input": {"mock_return": [1, {"b": 2}]}})
    said["output"] = request.output(timeout=20)
    said["status"] = request.status()
    said["again"] = request.output()
    said["stream"] = list(endpoint.run({"input": {"mock_return": ["x", {"y": 1}]}}).stream())
    said["sync"] = endpoint.run_sync({"input": {"mock_return": ["s"]}}, timeout=20)
    slow = endpoint.run({"input": {"mock_delay": 1000}})
    said["cancel"] = slow.cancel()
    said["cancelled"] = slow.status()
    said["health"] = endpoint.health()
    said["purge"] = endpoint.purge_queue()
    return said


async def asyncio_client(base):
    os.environ["RUNPOD_ENDPOINT_BASE_URL"] = f"{base}/v2"
    import aiohttp
    import runpod
    from runpod import AsyncioEndpoint

    runpod.api_key = "a-key"
    said = {}
    async with aiohttp.ClientSession() as session:
        endpoint = AsyncioEndpoint("ep-1", session)
        job = await endpoint.run({"mock_return": ["a"]})
        said["output"] = await job.output(timeout=20)
        said["status"] = await job.status()
        said["stream"] = [part async for part in (await endpoint.run({"mock_return": ["p", "q"]})).stream()]
        slow = await endpoint.run({"mock_delay": 1000})
        said["cancel"] = await slow.cancel()
        said["cancelled"] = await slow.status()
    return said


async def flash_client(base):
    os.environ["RUNPOD_ENDPOINT_BASE_URL"] = f"{base}/v2"
    os.environ["RUNPOD_API_KEY"] = "a-key"
    os.environ["RUNPOD_FLASH_SILENCE_DEPRECATION"] = "1"
    from runpod_flash import Endpoint

    said = {}
    endpoint = Endpoint(id="ep-1")
    job = await endpoint.run({"mock_return": {"n": 1}})
    await job.wait(timeout=20)
    said["output"], said["done"] = job.output, job.done
    failed = await endpoint.run({"mock_error": True})
    await failed.wait(timeout=20)
    said["status"], said["error"] = await failed.status(), failed.error
    said["sync"] = (await endpoint.runsync({"mock_return": ["s"]})).output
    slow = await endpoint.run({"mock_delay": 1000})
    await slow.cancel()
    said["cancelled"] = await slow.status()
    said["again"] = (await endpoint.cancel(slow.id)).done
    try:
        await endpoint.run(None)
        said["refused"] = None
    except Exception as error:  # httpx's, which this package brings
        said["refused"] = str(error)
    return said


def openai_client(base):
    from openai import APIError, OpenAI

    client = OpenAI(base_url=f"{base}/v2/ep-1/openai/v1", api_key="a-key", max_retries=0, timeout=20)
    messages = [{"role": "user", "content": "hi"}]
    said = {}
    whole = client.chat.completions.create(model="tiny-model", messages=messages, max_tokens=4)
    said["whole"] = whole.choices[0].message.role
    chunks = list(client.chat.completions.create(model="tiny-model", messages=messages, max_tokens=4, stream=True))
    said["chunks"] = len(chunks)
    said["finish"] = chunks[-1].choices[0].finish_reason if chunks[-1].choices else None
    said["models"] = [model.id for model in client.models.list()]
    try:
        client.chat.completions.create(model="tiny-model", messages="not a list", max_tokens=4)
        said["error"] = None
    except APIError as error:
        said["error"] = str(error)
    return said


if __name__ == "__main__":
    scenario = {
        "sync": sync_client,
        "asyncio": lambda base: asyncio.run(asyncio_client(base)),
        "flash": lambda base: asyncio.run(flash_client(base)),
        "openai": openai_client,
    }
    print(json.dumps(scenario[sys.argv[1]](sys.argv[2])))
