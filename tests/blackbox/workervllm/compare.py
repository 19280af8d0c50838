#!/usr/bin/env python3
"""How a worker's recording differs from worker-vllm's: python3 compare.py RECORDED.jsonl OURS.jsonl [-v]

One line a job: its name, then same, or what differs:
    shape    only the wrapping: X for [X], no part beside it, isStream=false; [] for the list of all parts
    error    both failed, with another text           fails, completes   the other did not
    output   another value                            parts              put together they are not the same
    asked    the model's server was asked otherwise   (+stream: only a "stream": false that is not there)
Takes are not compared, nor where a stream was cut into parts. Status 1 where anything but same was found.
"""
import copy
import json
import sys

from record import digest


NO_BODY = ["no body"]
NOTHING = {"asked": [], "stream": [], "done": None}


def read(name):
    jobs = {}
    with open(name) as file:
        for line in file:
            event = json.loads(line)
            job = jobs.setdefault(event["job"], copy.deepcopy(NOTHING))
            if event["ev"] in ("asked", "stream"):
                job[event["ev"]].append(event)
            elif event["ev"] != "take":
                job["done"] = event
    return jobs


def requests(job):
    """What was asked, without the look for the model's name, which only the first job that needs it makes."""
    asked = [(e["method"], e["target"], e.get("body", NO_BODY)) for e in job["asked"]]
    return [a for at, a in enumerate(asked) if a[:2] != ("GET", "/v1/models") or at == len(asked) - 1]


def without_false_stream(asked):
    return [(m, t, {k: v for k, v in b.items() if (k, v) != ("stream", False)} if isinstance(b, dict) else b)
            for m, t, b in asked]


def joined(value):
    """A list of strings as what it is when put together."""
    if isinstance(value, dict) and value.get("of") == "list" and "joined" in value:
        return value["joined"]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return digest("".join(value))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and value[0].get("of") == "string":
        return {"sha256": value[0]["sha256"], "bytes": value[0]["bytes"]}
    return value


def parts(job):
    return (job["done"] or {}).get("parts_joined") or [e["body"].get("output") for e in job["stream"]]


def compare(real, ours):
    found, asked, asked_ours = [], requests(real), requests(ours)
    if asked != asked_ours:
        found.append("asked(+stream)" if without_false_stream(asked) == without_false_stream(asked_ours) else "asked")
    if ours["done"] is None or ours["done"]["ev"] != "done":
        return found + ["no result"]
    theirs, mine = real["done"]["body"], ours["done"]["body"]
    if ("error" in theirs) != ("error" in mine):
        return found + ["fails" if "error" in mine else "completes"]
    same_parts = parts(real) == parts(ours)
    same_flag = real["done"]["q"].get("isStream") == ours["done"]["q"].get("isStream")
    if "error" in theirs:
        if theirs != mine:
            found.append("error")
        if not same_parts:
            found.append("parts")
        return found + ([] if same_flag else ["isStream"])
    out, own = theirs.get("output"), mine.get("output")
    if joined(out) == joined(own):
        return found + ([] if same_parts else ["parts"]) + ([] if same_flag else ["isStream"])
    if isinstance(out, list) and len(out) == 1 and out[0] == own and not ours["stream"]:
        return found + ["shape"]
    if own == [] and same_parts:
        return found + ["shape"]
    return found + ["output"] + ([] if same_parts else ["parts"])


def show(label, job):
    print("    %s" % label)
    for method, target, body in requests(job):
        print("        %s %s %s" % (method, target, "" if body is NO_BODY else json.dumps(body, ensure_ascii=False)[:300]))
    print("        %d parts %s" % (len(job["stream"]), json.dumps(parts(job), ensure_ascii=False)[:300]))
    done = job["done"] or {}
    print("        %s %s" % (done.get("q", {}).get("isStream"), json.dumps(done.get("body"), ensure_ascii=False)[:900]))


def main():
    real, ours = read(sys.argv[1]), read(sys.argv[2])
    rc = 0
    for name in real:
        found = compare(real[name], ours.get(name) or NOTHING)
        print("%-34s %s" % (name, ", ".join(found) or "same"))
        rc |= bool(found)
        if found and "-v" in sys.argv:
            show("recorded", real[name])
            if name in ours:
                show("ours", ours[name])
    return rc


if __name__ == "__main__":
    sys.exit(main())
