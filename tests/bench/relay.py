"""A far-away server: passes bytes on to a port of this machine with the delays of a network.

    relay.py PORT ROUND_TRIP_MS     prints the port it listens on, then serves until it is killed

Bytes take half a round trip each way. A connection costs one round trip before its first byte
moves, as TCP's handshake would: the kernel cannot delay that one, so the client's first bytes wait.
Threads that sleep, because asyncio's timers are a millisecond late.
"""

import contextlib
import queue
import socket
import sys
import threading
import time

CHUNK = 65536


def collect(source, under_way, delay_s, first_delay_s):
    """Note when each piece is due at the other end; an empty one is the end of the stream."""
    earliest = time.monotonic() + first_delay_s
    data = b"?"
    while data:
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        under_way.put((max(time.monotonic(), earliest) + delay_s, data))


def deliver(sink, under_way):
    """Each piece leaves when its own delay is over, however many are under way."""
    while True:
        due, data = under_way.get()
        time.sleep(max(0, due - time.monotonic()))
        with contextlib.suppress(OSError):  # the other side may be gone
            sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
        if not data:
            return


def pass_on(source, sink, delay_s, first_delay_s):
    under_way = queue.SimpleQueue()
    for target, arguments in (
        (collect, (source, under_way, delay_s, first_delay_s)),
        (deliver, (sink, under_way)),
    ):
        threading.Thread(target=target, args=arguments, daemon=True).start()


def serve(port, round_trip_s):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pass_on(client, server, round_trip_s / 2, round_trip_s)
        pass_on(server, client, round_trip_s / 2, 0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1000)
