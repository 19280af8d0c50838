"""Looks at the machine before the first job is taken; what loads the model is there by then."""
import os

import runpod

passed = []


@runpod.serverless.register_fitness_check
def check_disk():
    if os.statvfs("/").f_blocks == 0:
        raise RuntimeError("there is no disk")
    passed.append("disk")


@runpod.serverless.register_fitness_check
async def check_model():
    if os.environ.get("MODEL_IS_MISSING"):
        raise RuntimeError("the model file is not there")
    passed.append("model")


def handler(job):
    return {"passed": passed, "input": job["input"]}


runpod.serverless.start({"handler": handler})
