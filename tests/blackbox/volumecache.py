"""The real VolumeCache of runpod's SDK: volumecache.py hydrate|sync VOLUME NAME DIR... Run by build/venv-clients."""

import json
import shutil
import sys

from runpod.serverless.utils.rp_volume_cache import VolumeCache


def main():
    what, volume, name, *dirs = sys.argv[1:]
    if what == "sync-without-tar":
        shutil.which = lambda *_: None  # then Python's own tarfile packs
    cache = VolumeCache(dirs, namespace=name, volume_path=volume, best_effort=False)
    print(json.dumps(cache.hydrate() if what == "hydrate" else cache._do_sync()))


if __name__ == "__main__":
    main()
