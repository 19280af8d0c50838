/*
 * config/secrets.h - the secrets that the worker knows, kept by base/log.h out of its log and
 * of the errors that clients read: API key, realtime token, key of the job API, the storage's
 * secret key and the passwords of proxies, as they are written, percent-decoded, and in base64
 * with their users.
 */
#ifndef CONFIG_SECRETS_H
#define CONFIG_SECRETS_H

#include "config/config.h"

/* Adds them to the log's. Once, before there are other threads; config must outlive the process. */
void config_add_secrets(const struct config *config);

#endif
