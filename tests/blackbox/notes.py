"""What a test has counted, for people: printed, and kept in build/log/figures.log, one line each."""

import time

from workerproc import BUILD


def note(name, text):
    line = f"{name}: {text}"
    print(line)
    log = BUILD / "log" / "figures.log"
    log.parent.mkdir(exist_ok=True)
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%F %T')} {line}\n")
