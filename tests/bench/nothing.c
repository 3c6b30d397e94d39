/* A program that does nothing: what it costs to start and end one, beside which the hook is
 * measured. */
int main(void) {
    return 0;
}
