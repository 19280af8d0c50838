__attribute__((visibility("default"))) int sibling_number(void);
int sibling_number(void)
{
    return 7;
}
