"""A handler that answers as soon as a job starts, and reads no more of it than its first bytes."""
import os
import sys

while first := os.read(0, 1000):
    if b'"first"' in first:
        os.write(1, b'{"output": "early"}\n')
    while not first.endswith(b"\n"):
        if sys.argv[1] == "never":
            import time
            time.sleep(600)
        first = os.read(0, 1 << 16)
    if sys.argv[1] != "never":
        os.write(1, b'{"log": "read it all"}\n')
