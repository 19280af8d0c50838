"""The test platform as a program, to be run inside a container: one job over TLS, the verdict on standard output.

usage: container_platform.py CHAIN KEY NAME PORT

Prints LISTENING, then waits for a worker that comes under NAME, hands out one job, and prints RESULT and the
result object, or FAILED and why. Standard library only.
"""

import json
import sys

from testplatform import Platform, server_context

PATIENCE_S = 60


def main(chain, key, name, port):
    platform = Platform(tls=server_context(chain, key), hosts=("0.0.0.0",), name=name, port=int(port))
    print("LISTENING", flush=True)
    try:
        result = platform.result(platform.give(input={"from": "the private network"}), PATIENCE_S)
        platform.wait_idle(PATIENCE_S)
        hosts = {request.header("Host") for request in platform.record}
        assert hosts == {f"{name}:{port}"}, hosts
        assert not platform.complaints, platform.complaints
        assert all(connection.tls_version == "TLSv1.2" for connection in platform.connections)
    except AssertionError as error:
        print("FAILED", error, flush=True)
        return 1
    print("RESULT", json.dumps(result), flush=True)
    platform.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
