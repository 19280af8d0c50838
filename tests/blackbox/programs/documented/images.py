"""An image worker's files: what the job names is downloaded, the result goes to the storage if there is one, and nothing stays."""
import base64
import os

import runpod
from runpod.serverless.utils import rp_cleanup, rp_upload
from runpod.serverless.utils.rp_download import download_files_from_urls, file

MADE = "output_objects"
FILES = os.environ.get("FILES")


def turned(path, name):
    os.makedirs(MADE, exist_ok=True)
    made = os.path.join(MADE, name)
    with open(path, "rb") as source, open(made, "wb") as target:
        target.write(source.read()[::-1])
    return made


def stored(job_id, path):
    if os.environ.get("BUCKET_ENDPOINT_URL"):
        return rp_upload.upload_image(job_id, path)
    with open(path, "rb") as made:
        return base64.b64encode(made.read()).decode()


def handler(job):
    wanted = job["input"]
    images = download_files_from_urls(job["id"], [name and f"{FILES}/{name}" for name in wanted["images"]])
    results = [path and stored(job["id"], turned(path, f"{index}.png")) for index, path in enumerate(images)]
    more = file(f"{FILES}/{wanted['more']}")
    size = os.path.getsize(more["file_path"])
    rp_cleanup.clean([MADE, "jobs"])
    left = sorted(name for name in (MADE, "jobs", "job_files") if os.path.exists(name))
    return {"results": results, "more": [more["original_name"], more["type"], size], "left": left}


runpod.serverless.start({"handler": handler})
