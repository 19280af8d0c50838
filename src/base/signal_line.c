#include "base/signal_line.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

#define LEVEL_CHARS 6
#define END_BYTES 32 /* kept free for what ends a line */

static bool json_form;

static void add_to(struct signal_line *line, size_t most, const char *text)
{
    for (; *text != '\0' && line->len < most; text++)
        line->bytes[line->len++] = *text;
}

void signal_line_set_form(bool json_lines)
{
    json_form = json_lines;
}

void signal_line_add(struct signal_line *line, const char *text)
{
    add_to(line, sizeof line->bytes - END_BYTES, text);
}

void signal_line_add_plain(struct signal_line *line, slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        const char text[2] = { plain ? c : '?', '\0' };
        signal_line_add(line, text);
    }
}

void signal_line_add_number(struct signal_line *line, uintmax_t number, unsigned base)
{
    static const char digits[] = "0123456789abcdef";
    char text[3 * sizeof number + 1];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = digits[number % base];
        number /= base;
    } while (number != 0);
    signal_line_add(line, text + at);
}

void signal_line_begin(struct signal_line *line, const char *level, slice job_id)
{
    static const char blanks[LEVEL_CHARS + 1] = "      ";
    bool has_job = job_id.len > 0;
    line->len = 0;
    signal_line_add(line, json_form ? "{\"requestId\": " : level);
    if (!json_form && strlen(level) < LEVEL_CHARS)
        signal_line_add(line, blanks + strlen(level));
    signal_line_add(line, json_form ? has_job ? "\"" : "null" : " | ");
    signal_line_add_plain(line, job_id);
    signal_line_add(line, json_form ? has_job ? "\", " : ", " : has_job ? " | " : "");
    signal_line_add(line, json_form ? "\"message\": \"" : "");
}

void signal_line_write(struct signal_line *line, const char *level)
{
    add_to(line, sizeof line->bytes, json_form ? "\", \"level\": \"" : "");
    add_to(line, sizeof line->bytes, json_form ? level : "");
    add_to(line, sizeof line->bytes, json_form ? "\"}\n" : "\n");
    struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
    if (log_flush(LIMIT_LOG_FLUSH_MS) && poll(&out, 1, LIMIT_LOG_FLUSH_MS) > 0) {
        ssize_t written = write(STDOUT_FILENO, line->bytes, line->len);
        (void)written;
    }
}
