// Counts the words of input.text: containers, strings and exceptions of C++ in a static worker.
//     worker-c++ -std=c++17 -O2 -o count count.cc
//     ./count --test_input '{"input": {"text": "to be or not to be"}}'
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <worker.h>

static std::map<std::string, int> count(const std::string &text)
{
    std::map<std::string, int> counts;
    std::istringstream words(text);
    for (std::string word; words >> word;)
        counts[word]++;
    if (counts.empty())
        throw std::invalid_argument("input.text holds no word");
    return counts;
}

// No exception may leave it: what calls it is C.
static int handle(rp_job *job, void *)
try {
    rp_str text;
    if (rp_get_str(rp_input(job), "text", &text) != RP_OK)
        return rp_fail(job, "input.text must be a string");
    const char *before = "{";
    for (const auto &[word, times] : count({ text.ptr, text.len })) {
        rp_write(job, "%s%Q: %d", before, word.c_str(), times);
        before = ", ";
    }
    return rp_write(job, "}");
} catch (const std::exception &problem) {
    return rp_fail(job, "%s", problem.what());
}

int main(int argc, char **argv)
{
    rp_config config = {};
    config.handler = handle;
    return rp_start(argc, argv, &config);
}
