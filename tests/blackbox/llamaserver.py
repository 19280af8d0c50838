"""llama.cpp's HTTP server as a program: llamaserver.py MODEL PORT. Run by the Python of build/llama/venv.

What listens and answers is llama.cpp's tools/server, compiled into the package; this file only sets its parameters.
Its own log goes to standard error.
"""

import signal
import sys

import xllamacpp


def main(model, port):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {"tiny-model"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(port)
    parameters.n_ctx = 65536
    parameters.n_parallel = 4
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    print(f"llama.cpp serves at {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:])
