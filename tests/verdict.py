#!/usr/bin/env python3
"""What runs of pytest came to, by their own reports (--junitxml):

  verdict.py counts REPORT [AGAIN]   passed, failed and skipped; what failed in REPORT and passed in AGAIN has passed
  verdict.py failed REPORT [AGAIN]   a line for each test that failed, with the first line of why
  verdict.py late REPORT             the tests that failed by being late and by nothing else, as pytest takes them;
                                     none if there are more than MOST

A test waits for events, and fails if one does not come in its time. On a machine with more to do than was thought
that may be the machine's doing, which a second run of those tests alone tells. Whatever else a test finds (a wrong
answer, a sanitizer's report, something left behind) has happened, and no second run takes it back. What is lost now
and then looks late, too: so each is named, its first failure stays in the log, and a test that can tell a loss
(test_chaos.py) says so in other words.
"""

import re
import sys
import xml.etree.ElementTree as tree

MOST = 12
# The first line of what is said; those that follow may be a worker's log.
LATE = re.compile(r"AssertionError: waited in vain for|Failed: Timeout \(>|[\w.]*(TimeoutExpired|TimeoutError|ReadTimeout)\b")
FAULT = re.compile(r"died of signal|Sanitizer|runtime error:")


def node_id(case):
    """pytest's name of a test; without the group, which pytest-xdist puts behind it."""
    name = case.get("name")
    head, at, group = name.rpartition("@")
    if at and "]" not in group:
        name = head
    return f"{case.get('classname').replace('.', '/')}.py::{name}"


def failures(report):
    """{test: its messages and details}"""
    found = {}
    for case in tree.parse(report).iter("testcase"):
        for bad in (*case.iter("failure"), *case.iter("error")):
            found.setdefault(node_id(case), []).append((bad.get("message") or "", bad.text or ""))
    return found


def is_late(reasons):
    """Whether lateness is all that is said of a test. The details hold the worker's log: a fault in it counts."""
    return all(LATE.match(message) and not FAULT.search(message + text) for message, text in reasons)


def passed_again(report):
    """The tests that a second run passed."""
    cases = {node_id(case) for case in tree.parse(report).iter("testcase") if case.find("skipped") is None}
    return cases - set(failures(report))


def counts(report, again=None):
    suite = next(tree.parse(report).iter("testsuite"))
    total, failed, errors, skipped = (int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    mended = len(passed_again(again) & set(failures(report))) if again else 0
    failed += errors - mended
    print(max(0, total - failed - skipped), failed, skipped)


def failed(report, again=None):
    mended = passed_again(again) if again else set()
    for test, reasons in failures(report).items():
        if test not in mended:
            print(f"{test}: {(reasons[0][0].splitlines() or [''])[0][:200]}")


def late(report):
    found = [test for test, reasons in failures(report).items() if is_late(reasons)]
    if len(found) <= MOST:
        sys.stdout.writelines(f"{test}\n" for test in found)


if __name__ == "__main__":
    {"counts": counts, "failed": failed, "late": late}[sys.argv[1]](*sys.argv[2:])
