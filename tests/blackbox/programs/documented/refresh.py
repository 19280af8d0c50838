"""Wants a fresh worker after its job."""
import runpod


def handler(job):
    state = [1, 2, 3]
    return {"refresh_worker": True, "job_results": [job["input"]["factor"] * each for each in state]}


runpod.serverless.start({"handler": handler})
