"""A handler as RunPod's SDK has it, unchanged. The kit's python/ stands in for the SDK; nothing is installed:

    PYTHONPATH=../../python ../../bin/worker --handler 'python3 sdk_handler.py' --handler-ready line
"""
import runpod


def handler(job):
    text = job["input"].get("text")
    if not isinstance(text, str):
        return {"error": "input.text must be a string"}
    return text[::-1]


runpod.serverless.start({"handler": handler})
