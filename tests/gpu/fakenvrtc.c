/*
 * A fake libnvrtc.so.12, made for glibc as NVIDIA's is: it compiles kernels of one form,
 *     extern "C" __global__ void NAME(float *x, unsigned n) { ... x[i] = A * x[i] + B; ... }
 * where i is the thread's number and A and B are constants, to PTX that real devices take, too. A
 * line "#warning TEXT" becomes a message, as does whatever it cannot compile.
 * FAKE_NVRTC_FAIL=CALL makes that call fail.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, OUT_OF_MEMORY = 1, INVALID_PROGRAM = 4, INVALID_OPTION = 5, COMPILATION = 6 };

struct program {
    char *source;
    char log[512], ptx[2048];
};

static int fails(const char *call)
{
    const char *failing = getenv("FAKE_NVRTC_FAIL");
    return failing != NULL && strcmp(failing, call) == 0;
}

EXPORT const char *nvrtcGetErrorString(int result)
{
    switch (result) {
    case SUCCESS: return "NVRTC_SUCCESS";
    case OUT_OF_MEMORY: return "NVRTC_ERROR_OUT_OF_MEMORY";
    case INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
    case INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
    case COMPILATION: return "NVRTC_ERROR_COMPILATION";
    default: return "NVRTC_ERROR unknown";
    }
}

EXPORT int nvrtcCreateProgram(struct program **made, const char *source, const char *name,
                              int headers, const char *const *texts, const char *const *names)
{
    (void)name;
    if (fails(__func__) || headers != 0 || texts != NULL || names != NULL)
        return OUT_OF_MEMORY;
    *made = calloc(1, sizeof **made);
    (*made)->source = strdup(source);
    return SUCCESS;
}

EXPORT int nvrtcDestroyProgram(struct program **made)
{
    if (*made == NULL)
        return INVALID_PROGRAM;
    free((*made)->source);
    free(*made);
    *made = NULL;
    return SUCCESS;
}

/* --- the compiler --------------------------------------------------------------------------- */

static const char code[] = ".version 6.0\n"
                           ".target sm_%d\n"
                           ".address_size 64\n"
                           ".visible .entry %s(.param .u64 x, .param .u32 n)\n"
                           "{\n"
                           "    .reg .pred %%done;\n"
                           "    .reg .b32 %%i, %%n, %%t, %%block, %%size;\n"
                           "    .reg .f32 %%x, %%a, %%b;\n"
                           "    .reg .b64 %%p, %%at;\n"
                           "    mov.u32 %%t, %%tid.x;\n"
                           "    mov.u32 %%block, %%ctaid.x;\n"
                           "    mov.u32 %%size, %%ntid.x;\n"
                           "    mad.lo.u32 %%i, %%block, %%size, %%t;\n"
                           "    ld.param.u32 %%n, [n];\n"
                           "    setp.ge.u32 %%done, %%i, %%n;\n"
                           "    @%%done ret;\n"
                           "    ld.param.u64 %%p, [x];\n"
                           "    cvta.to.global.u64 %%p, %%p;\n"
                           "    mul.wide.u32 %%at, %%i, 4;\n"
                           "    add.u64 %%p, %%p, %%at;\n"
                           "    ld.global.f32 %%x, [%%p];\n"
                           "    mov.f32 %%a, 0f%08X;\n"
                           "    mov.f32 %%b, 0f%08X;\n"
                           "    fma.rn.f32 %%x, %%x, %%a, %%b;\n"
                           "    st.global.f32 [%%p], %%x;\n"
                           "    ret;\n"
                           "}\n";

static unsigned bits_of(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void warn(struct program *made)
{
    const char *warning = strstr(made->source, "#warning ");
    if (warning == NULL)
        return;
    warning += strlen("#warning ");
    snprintf(made->log, sizeof made->log, "job.cu(1): warning: %.*s\n", (int)strcspn(warning, "\n"),
             warning);
}

static int refuse(struct program *made, int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(made->log, sizeof made->log, format, args);
    va_end(args);
    return result;
}

EXPORT int nvrtcCompileProgram(struct program *made, int options, const char *const *texts)
{
    char name[64];
    float a, b;
    int architecture = 52;
    if (fails(__func__))
        return OUT_OF_MEMORY;
    for (int i = 0; i < options; i++)
        if (sscanf(texts[i], "--gpu-architecture=compute_%d", &architecture) != 1)
            return refuse(made, INVALID_OPTION, "nvrtc: error: unrecognized option %s\n", texts[i]);
    warn(made);
    const char *kernel = strstr(made->source, "__global__ void ");
    const char *body = strstr(made->source, "x[i] = ");
    if (kernel == NULL || sscanf(kernel, "__global__ void %63[A-Za-z0-9_]", name) != 1 ||
        body == NULL || sscanf(body, "x[i] = %ff * x[i] + %ff;", &a, &b) != 2)
        return refuse(made, COMPILATION, "job.cu(1): error: not what this one can compile\n");
    snprintf(made->ptx, sizeof made->ptx, code, architecture, name, bits_of(a), bits_of(b));
    return SUCCESS;
}

/* --- what came of it ------------------------------------------------------------------------ */

EXPORT int nvrtcGetProgramLogSize(struct program *made, size_t *bytes)
{
    *bytes = strlen(made->log) + 1;
    return fails(__func__) ? INVALID_PROGRAM : SUCCESS;
}

EXPORT int nvrtcGetProgramLog(struct program *made, char *text)
{
    if (fails(__func__))
        return INVALID_PROGRAM;
    strcpy(text, made->log);
    return SUCCESS;
}

EXPORT int nvrtcGetPTXSize(struct program *made, size_t *bytes)
{
    *bytes = strlen(made->ptx) + 1;
    return fails(__func__) || made->ptx[0] == '\0' ? INVALID_PROGRAM : SUCCESS;
}

EXPORT int nvrtcGetPTX(struct program *made, char *text)
{
    if (fails(__func__))
        return INVALID_PROGRAM;
    strcpy(text, made->ptx);
    return SUCCESS;
}
