/*
 * Two libraries that define the same name, of which the one that is opened needs the other
 * (-DINNER): everybody is bound to the opened one's.
 */
#define SHOW __attribute__((visibility("default"), noinline))

SHOW int which(void);
SHOW int asked(void);
SHOW const char *one_definition(void);

#ifdef INNER
int which(void)
{
    return 2;
}

int asked(void)
{
    return which();
}
#else
int which(void)
{
    return 1;
}

const char *one_definition(void)
{
    return which() == 1 && asked() == 1 ? (void *)0 : "each has its own";
}
#endif
