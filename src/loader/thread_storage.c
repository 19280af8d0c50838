#include "loader/thread_storage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "codec/elf.h"

/* In .tbss: zero when a thread starts, and never touched by threads that do not enter. */
static _Thread_local _Alignas(ELF_TLS_ALIGN_MAX) char pool[THREAD_STORAGE_BYTES];

/* One per thread; those that have entered form a list. */
static _Thread_local struct thread {
    struct thread *next, **link;
    char *pool;
    _Atomic uint64_t filled; /* a bit for each block that holds its initial contents */
    enum { OUTSIDE, ENTERED, LEFT } state;
} self;

static struct storage_block {
    const void *image;
    size_t image_bytes, offset; /* offset in the pool */
    bool is_static;             /* code reaches it without asking for its address */
} blocks[THREAD_STORAGE_LIBS_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and the list */
static struct thread *threads;
static unsigned reserved, published;
static size_t used;
static pthread_key_t leave_key;
static bool have_key;

_Static_assert(THREAD_STORAGE_LIBS_MAX <= 64, "a bit of struct thread for each block");

static void fill(struct thread *thread, unsigned i)
{
    uint64_t filled = atomic_load_explicit(&thread->filled, memory_order_relaxed);
    if ((filled >> i & 1) != 0)
        return;
    memcpy(thread->pool + blocks[i].offset, blocks[i].image, blocks[i].image_bytes);
    atomic_store_explicit(&thread->filled, filled | 1ull << i, memory_order_release);
}

/* The others are filled when a thread first asks for them: cuBLAS's alone takes 95 KB. */
static void fill_static(struct thread *thread)
{
    for (unsigned i = 0; i < published; i++)
        if (blocks[i].is_static)
            fill(thread, i);
}

int thread_storage_reserve(const Elf64_Phdr *segment, const void *image, struct err *err)
{
    size_t align = segment->p_align > 1 ? (size_t)segment->p_align : 1;
    size_t size = (size_t)segment->p_memsz;
    size_t offset = used + ((size_t)segment->p_vaddr - used) % align;
    if (reserved == THREAD_STORAGE_LIBS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u libraries have thread-local storage",
                       THREAD_STORAGE_LIBS_MAX);
    if (align > ELF_TLS_ALIGN_MAX || size > THREAD_STORAGE_BYTES ||
        offset > THREAD_STORAGE_BYTES - size)
        return err_set(
            err, ERR_LIMIT,
            "it has %zu bytes of thread-local storage, which do not fit: %zu of %u are in use",
            size, used, THREAD_STORAGE_BYTES);
    blocks[reserved] = (struct storage_block){ .image = image,
                                               .image_bytes = (size_t)segment->p_filesz,
                                               .offset = offset };
    used = offset + size;
    return (int)++reserved;
}

unsigned thread_storage_count(void)
{
    return reserved;
}

/* A resolver of a library that then failed to load may have used its block. */
static void empty(struct thread *thread, unsigned count)
{
    uint64_t filled = atomic_load_explicit(&thread->filled, memory_order_relaxed);
    if (filled >> count == 0)
        return;
    memset(thread->pool + blocks[count].offset, 0, used - blocks[count].offset);
    atomic_store_explicit(&thread->filled, filled & ((1ull << count) - 1), memory_order_release);
}

void thread_storage_unreserve(unsigned count)
{
    if (count >= reserved)
        return;
    pthread_mutex_lock(&lock);
    for (struct thread *thread = threads; thread != NULL; thread = thread->next)
        empty(thread, count);
    pthread_mutex_unlock(&lock);
    used = blocks[count].offset;
    reserved = count;
}

void thread_storage_publish(void)
{
    pthread_mutex_lock(&lock);
    published = reserved;
    for (struct thread *thread = threads; thread != NULL; thread = thread->next)
        fill_static(thread);
    pthread_mutex_unlock(&lock);
}

ptrdiff_t thread_storage_offset(unsigned id)
{
    blocks[id - 1].is_static = true;
    return pool + blocks[id - 1].offset - (char *)__builtin_thread_pointer();
}

/* The pool ends with the thread and must not be filled any more. Other destructors may follow. */
static void leave(void *argument)
{
    struct thread *thread = argument;
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
    self.pool = pool;
    fill_static(&self);
    /* Without a key, leave would not run: the thread only gets what is loaded now. */
    if (have_key && pthread_setspecific(leave_key, &self) == 0) {
        self.next = threads;
        self.link = &threads;
        self.state = ENTERED;
        if (threads != NULL)
            threads->link = &self.next;
        threads = &self;
    } else {
        self.state = LEFT;
    }
    pthread_mutex_unlock(&lock);
}

void thread_storage_enter(void)
{
    if (self.state == OUTSIDE)
        enter();
}

static __attribute__((noinline)) void fill_own(unsigned i)
{
    thread_storage_enter();
    pthread_mutex_lock(&lock);
    fill(&self, i);
    pthread_mutex_unlock(&lock);
}

/* Older gcc calls it with a stack that is not aligned to 16 bytes (gcc bug 58066). */
#ifdef __x86_64__
__attribute__((force_align_arg_pointer))
#endif
void *
thread_storage_get_addr(const uint64_t *which)
{
    unsigned i = (unsigned)which[0] - 1;
    if ((atomic_load_explicit(&self.filled, memory_order_acquire) >> i & 1) == 0)
        fill_own(i);
    return pool + blocks[i].offset + which[1];
}

/* Naked, because a compiler's prologue might change registers other than the result. */
#ifdef __x86_64__
__attribute__((naked)) void thread_storage_descriptor(void)
{
    __asm__("movq 8(%rax), %rax\n\tret");
}
#else
uint64_t thread_storage_descriptor(const uint64_t *descriptor)
{
    return descriptor[1];
}
#endif
