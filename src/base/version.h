/*
 * base/version.h - the worker's version, the only place that names it. Read by --version, --help,
 * the log's first line and the User-Agent field; vendor/version.sh takes it from this line for
 * images, kits, bills of materials and tests. What heartbeats and error objects call runpod_version
 * is CONTRACT_VERSION: the version of the SDK whose contract is spoken (tests/CONTRACT.md).
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define WORKER_VERSION "0.2.0"
#define WORKER_USER_AGENT "slim-worker/" WORKER_VERSION
#define CONTRACT_VERSION "1.12.0" /* default of RP_CONTRACT_VERSION */

#endif
