"""A template's worker: what is loaded once, a schema in a module of its own, flags of its own, the log."""
import argparse

import runpod
from runpod.serverless.modules.rp_logger import RunPodLogger
from runpod.serverless.utils.rp_validator import validate

from rp_schema import INPUT_SCHEMA

log = RunPodLogger()
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model_tag", type=str, default="none")


class Predictor:
    """Stands for the model."""

    def __init__(self, tag):
        self.tag = tag

    def predict(self, prompt, width, seed):
        return f"{self.tag}: {prompt} ({width}, {seed})"


def run(job):
    checked = validate(job["input"], INPUT_SCHEMA)
    if "errors" in checked:
        return {"error": checked["errors"]}
    wanted = checked["validated_input"]
    log.info("the input is good", job["id"])
    try:
        images = [MODEL.predict(wanted["prompt"], wanted["width"], seed) for seed in range(wanted["num_outputs"])]
        if wanted["negative_prompt"] == "everything":
            raise RuntimeError("nothing is left")
        return {"images": images, "scale": wanted["guidance_scale"], "seed": wanted["seed"]}
    except RuntimeError as problem:
        log.error(f"failed: {problem}", job["id"])
        return {"error": str(problem), "refresh_worker": False}


if __name__ == "__main__":
    MODEL = Predictor(parser.parse_args().model_tag)
    runpod.serverless.start({"handler": run})
