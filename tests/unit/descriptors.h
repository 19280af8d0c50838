/* Whether a test leaves a descriptor open: the lowest that is free says nothing of those above. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* How many this process has open. Fails the test if it cannot be told. */
int open_descriptors(void);

#endif
