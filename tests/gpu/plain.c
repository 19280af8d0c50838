/* A library with no code that runs when it is loaded: tests damage it and load the result. */
static int number;
static int *const addresses[] = { &number, &number };
__attribute__((visibility("default"))) int *plain_address(int i);
int *plain_address(int i)
{
    return addresses[i & 1];
}
