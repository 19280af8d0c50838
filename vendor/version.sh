#!/bin/sh
# Prints the version, which src/base/version.h has.
sed -n 's/^#define WORKER_VERSION "\(.*\)"$/\1/p' "$(dirname "$0")/../src/base/version.h"
