/*
 * A C++ library on the distribution's own libstdc++ and libgcc_s, as CUDA's libraries need them:
 * exceptions, streams, threads and their objects. Each function returns NULL, or what was wrong.
 */
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define CHECK(name) extern "C" __attribute__((visibility("default"))) const char *name()

static int cleaned;

struct cleaner {
    ~cleaner()
    {
        cleaned++;
    }
};

static void __attribute__((noinline)) fail(int depth)
{
    cleaner here;
    if (depth == 0)
        throw std::runtime_error("from the depth");
    fail(depth - 1);
}

CHECK(exceptions_are_thrown_and_caught)
{
    cleaned = 0;
    try {
        fail(9);
    } catch (const std::exception &problem) {
        return cleaned == 10 && problem.what() == std::string("from the depth") ? nullptr : "what";
    }
    return "it came back";
}

CHECK(exceptions_of_the_runtime)
{
    try {
        return std::vector<int>(3).at(5) == 0 ? "nothing" : "something";
    } catch (const std::out_of_range &) {
    }
    try {
        std::rethrow_exception(std::make_exception_ptr(std::string("thrown again")));
    } catch (const std::string &text) {
        return text == "thrown again" ? nullptr : "another text";
    }
    return "nothing was thrown again";
}

CHECK(streams)
{
    std::ostringstream out;
    double number = 0;
    std::string word;
    out << "pi " << 3.25 << ' ' << std::hex << 255;
    std::istringstream in(out.str());
    in >> word >> number;
    return out.str() == "pi 3.25 ff" && word == "pi" && number == 3.25 ? nullptr : "another text";
}

CHECK(objects_of_threads)
{
    cleaned = 0;
    std::string caught;
    std::thread thread([&] {
        static thread_local cleaner own;
        (void)&own;
        try {
            fail(0);
        } catch (const std::exception &problem) {
            caught = problem.what();
        }
    });
    thread.join();
    return caught == "from the depth" && cleaned == 2 ? nullptr : "not caught or not cleaned up";
}
