/* A library with nothing that runs by itself: tests damage it in every way and load what is left. */
static int number;
static int *const addresses[] = { &number, &number };
__attribute__((visibility("default"))) int *plain_address(int i);
int *plain_address(int i)
{
    return addresses[i & 1];
}
