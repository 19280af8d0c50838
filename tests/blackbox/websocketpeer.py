"""The websockets library as a WebSocket's two ends: websocketpeer.py server PORT | client PORT. Run by the Python of build/venv-clients.

The server sends back what comes, and answers /health. The client says on standard output what it has seen.
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

SIZES = (0, 1, 125, 126, 65535, 65536, 3_000_000)


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def answer_health(connection, request):
    return connection.respond(200, "ok\n") if request.path == "/health" else None


async def run_server(port):
    async with serve(echo, "127.0.0.1", port, process_request=answer_health, max_size=None) as server:
        await server.serve_forever()


async def talk(port, number):
    async with connect(f"ws://127.0.0.1:{port}/chat?n={number}", max_size=None, origin="https://example.org") as socket:
        for size in SIZES:
            data = os.urandom(size)
            await socket.send(data)
            assert await socket.recv() == data
        await socket.send(f"žluť {number}")
        assert await socket.recv() == f"žluť {number}"
        await asyncio.wait_for(await socket.ping(), 30)
        await socket.close(4001, "enough")
        assert socket.close_code == 4001


async def run_client(port):
    await asyncio.gather(*(talk(port, number) for number in range(4)))
    print("4 WebSockets came to their end")


if __name__ == "__main__":
    asyncio.run({"server": run_server, "client": run_client}[sys.argv[1]](int(sys.argv[2])))
