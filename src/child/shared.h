/*
 * child/shared.h - several slots that share one program (--handler-jobs N): it gets up to N jobs at
 * a time, each on a line, and answers by id, in any order.
 *
 * A program has a thread of its own, which alone reads and writes its pipes: it sends one job after
 * the other and passes each message on to the slot whose job it names. The slots stay threads that
 * run one job each; their talk about it is that of a program of their own (child/exchange.h).
 *
 * A job that is stopped, or takes too long, is named to the program ({"id": "...", "stop": true});
 * without a final message within the grace period it is given up, and its place stays taken until
 * the program ends it. A program that has nothing but such jobs left is replaced. Its death costs
 * all jobs that it had; those not handed to it yet go to the next one.
 */
#ifndef CHILD_SHARED_H
#define CHILD_SHARED_H

#include "job/handler.h"

/*
 * The handler's operations; the setting is a prepared struct child_setting with `jobs` above 1.
 * Slots join a program in the order in which they are opened, `jobs` to each.
 */
extern const struct handler_ops child_shared_ops;

#endif
