#include "gpu/tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "codec/elf.h"

/* In .tbss: threads start with zeros, and those that never enter never touch it. */
static _Thread_local _Alignas(ELF_TLS_ALIGN_MAX) char pool[TLS_BYTES];

/* One a thread; a list of those that have entered. */
static _Thread_local struct thread {
    struct thread *next, **link;
    char *pool;
    enum { OUTSIDE, ENTERED, LEFT } state;
} self;

static struct block {
    const void *image;
    size_t image_bytes, at;
} blocks[TLS_MODULES_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and the lists' links */
static struct thread *threads;
static unsigned reserved, published;
static size_t used;
static pthread_key_t leave_key;
static bool have_key;

static void fill(char *thread_pool, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        memcpy(thread_pool + blocks[i].at, blocks[i].image, blocks[i].image_bytes);
}

int tls_reserve(const Elf64_Phdr *tls, const void *image, struct err *err)
{
    size_t align = tls->p_align > 1 ? (size_t)tls->p_align : 1, size = (size_t)tls->p_memsz;
    size_t at = used + ((size_t)tls->p_vaddr - used) % align;
    if (reserved == TLS_MODULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %u libraries have TLS", TLS_MODULES_MAX);
    if (align > ELF_TLS_ALIGN_MAX || size > TLS_BYTES || at > TLS_BYTES - size)
        return err_set(err, ERR_LIMIT, "it has %zu bytes of TLS, and %u - %zu are left", size,
                       TLS_BYTES, used);
    blocks[reserved] = (struct block){ image, (size_t)tls->p_filesz, at };
    used = at + size;
    return (int)++reserved;
}

unsigned tls_count(void)
{
    return reserved;
}

void tls_unreserve(unsigned count)
{
    if (count < reserved)
        used = blocks[count].at;
    reserved = count;
}

void tls_publish(void)
{
    pthread_mutex_lock(&lock);
    for (struct thread *thread = threads; thread != NULL; thread = thread->next)
        fill(thread->pool, published, reserved);
    published = reserved;
    pthread_mutex_unlock(&lock);
}

ptrdiff_t tls_offset(unsigned id)
{
    return pool + blocks[id - 1].at - (char *)__builtin_thread_pointer();
}

/* The memory goes with the thread: nobody may fill it any more. Other destructors may run after. */
static void leave(void *thread_of_it)
{
    struct thread *thread = thread_of_it;
    pthread_mutex_lock(&lock);
    *thread->link = thread->next;
    if (thread->next != NULL)
        thread->next->link = thread->link;
    thread->state = LEFT;
    pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
    have_key = pthread_key_create(&leave_key, leave) == 0;
}

static void enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    pthread_mutex_lock(&lock);
    fill(pool, 0, published);
    /* Without a key nobody would tell when the thread ends; it has what is there now. */
    if (have_key && pthread_setspecific(leave_key, &self) == 0) {
        self = (struct thread){ threads, &threads, pool, ENTERED };
        if (threads != NULL)
            threads->link = &self.next;
        threads = &self;
    } else {
        self.state = LEFT;
    }
    pthread_mutex_unlock(&lock);
}

void tls_enter(void)
{
    if (self.state == OUTSIDE)
        enter();
}

/* Older gcc calls it with a stack that is not aligned to 16 (its bug 58066). */
#ifdef __x86_64__
__attribute__((force_align_arg_pointer))
#endif
void *
tls_get_addr(const uint64_t *which)
{
    tls_enter();
    return pool + blocks[which[0] - 1].at + which[1];
}

/* The second word of the descriptor; no other register may change, so no compiler's prologue. */
#ifdef __x86_64__
__attribute__((naked)) void tls_descriptor(void)
{
    __asm__("movq 8(%rax), %rax\n\tret");
}
#else
uint64_t tls_descriptor(const uint64_t *descriptor)
{
    return descriptor[1];
}
#endif
