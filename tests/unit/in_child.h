/* Tests of what changes a whole process: in a child of the test's own. */
#ifndef IN_CHILD_H
#define IN_CHILD_H

/* Runs it in a child, which exits with what it returns. The child's status, as of waitpid. */
int status_of(int (*run)(void));

#endif
