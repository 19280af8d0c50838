"""The fake driver in the test's own process: memory, modules and launches of its PTX interpreter (tests/gpu/ptx.h)."""

import ctypes
import itertools
import shutil
import struct

from fakecuda import fake_cuda

HEAD = ".version 7.0\n.target sm_80\n.address_size 64\n"
LANES = 32

COPIES = itertools.count()


class Failed(Exception):
    """A call that did not return 0; args are its name and its result."""


class Device:
    """A driver of its own, since an error of a kernel stays: each is a copy of the library."""

    def __init__(self, folder):
        copy = folder / f"libcuda-{next(COPIES)}.so"
        shutil.copy(fake_cuda(), copy)
        self.library = ctypes.CDLL(str(copy))
        context = ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *args):
        result = getattr(self.library, name)(*args)
        if result != 0:
            raise Failed(name, result)

    def load(self, text):
        module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), text.encode())
        return module

    def memory(self, values, code="I"):
        """Device memory with these values, of a code of struct."""
        data = struct.pack(f"<{len(values)}{code}", *values)
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(len(data)))
        self.call("cuMemcpyHtoD_v2", address, data, ctypes.c_size_t(len(data)))
        return address

    def read(self, address, count, code="I"):
        data = ctypes.create_string_buffer(struct.calcsize(f"<{count}{code}"))
        self.call("cuMemcpyDtoH_v2", data, address, ctypes.c_size_t(len(data)))
        return list(struct.unpack(f"<{count}{code}", data.raw))

    def launch(self, module, *args, name="kernel", grid=(1, 1, 1), block=(LANES, 1, 1), shared=0):
        """Runs to its end. Arguments are of ctypes."""
        function = ctypes.c_void_p()
        self.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        if shared > 48 << 10:
            self.call("cuFuncSetAttribute", function, 8, shared)
        pointers = [ctypes.cast(ctypes.byref(arg), ctypes.c_void_p) for arg in args]
        self.call("cuLaunchKernel", function, *grid, *block, shared, None, (ctypes.c_void_p * len(args))(*pointers), None)
        self.call("cuCtxSynchronize")


def entry(declarations, body, params=".param .u64 in, .param .u64 out", name="kernel"):
    """A kernel for a module that begins with HEAD."""
    return f".visible .entry {name}({params})\n{{\n{declarations}\n{body}\n}}\n"


def lanewise(body, inputs=1, size=4, name="kernel", declarations=""):
    """A kernel in which each thread has numbers in %a (%b, %c), of that size, and stores its result of up to 8 bytes in
    [%to]."""
    registers = f".reg .b32 %lane; .reg .b64 %in, %to; .reg .b{8 * size} %a, %b, %c, %d;\n.reg .pred %p, %q; {declarations}"
    loads = "\n".join(f"ld.global.b{8 * size} %{'abc'[i]}, [%in+{i * LANES * size}];" for i in range(inputs))
    start = f"""ld.param.u64 %in, [in];
ld.param.u64 %to, [out];
cvta.to.global.u64 %in, %in;
cvta.to.global.u64 %to, %to;
mov.u32 %lane, %tid.x;
mad.wide.u32 %in, %lane, {size}, %in;
mad.wide.u32 %to, %lane, 8, %to;
{loads}
"""
    return entry(registers, f"{start}{body}\nret;", name=name)
