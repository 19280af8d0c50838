# The programs and libraries of the GPU loader's tests, over the product's own rules:
#   OUT/gpu/probe           static on musl, from the objects of OUT (build)  (tests/gpu/probe.c)
#   build/gpu/probe-glibc   the same on glibc with dlopen
#   OUT/gpu/cudalibs, build/gpu/cudalibs-glibc  the same for CUDA's own libraries
#                                                (tests/gpu/cudalibs.c)
#   build/gpu/lib*.so       libraries made for glibc, by the system's compiler
#   build/gpu/libcuda.so.1  the fake driver, which has devices
#   build/gpu/libnvrtc.so.12, libcublas.so.12  fakes of CUDA's own libraries that work on it
include vendor/build.mk

G := build/gpu
P := $(OUT)/gpu
GPU_LIBS := $(addprefix $G/lib,contracts.so sibling.so first.so second.so shapes.so relr.so \
    $(foreach model,dynamic descriptor initial, \
    thread-local-$(model).so thread-local-user-$(model).so) \
    missing-function.so missing-variable.so cycle.so cycle-back.so plain.so hostile.so chain.so \
    resolver.so scope-inner.so scope.so exceptions.so cuda.so.1 nvrtc.so.12 cublas.so.12)
# The system's own compiler and C library: what drivers are made with.
SO := $(HOST_CC) -shared -fPIC -O1 -Wall -Wextra -fvisibility=hidden

.PHONY: gpu-tests gpu-static
gpu-tests: gpu-static $G/probe-glibc $G/cudalibs-glibc $(GPU_LIBS)
	@:
gpu-static: $P/probe $P/cudalibs
	@:

$P/%.o: tests/gpu/%.c $B/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CC) $(CFLAGS) -Wall -Wextra -Wno-stringop-overflow -Werror $(DEFS) $(INCLUDES) -MMD -MP \
	    -c $< -o $@

$P/probe $P/cudalibs: $P/%: $P/%.o $(LINKED)
	@echo 'LD  $@'
	@$(CC) $(LDFLAGS) -o $@ $(CRT) $< $(CORE_OBJ) $B/libbearssl.a $(LIBS) $(CRT_END)

$G/probe-glibc $G/cudalibs-glibc: $G/%-glibc: tests/gpu/%.c tests/gpu/opener.h
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(HOST_CC) -D_GNU_SOURCE -DON_GLIBC -O1 -Wall -Wextra -o $@ $< -ldl \
	    -lpthread

$G/libcontracts.so: tests/gpu/contracts.c
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) -Wno-deprecated-declarations -static-libgcc -o $@ $< \
	    -Wl,-soname,libcontracts.so
$G/libsibling.so: tests/gpu/sibling.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -o $@ $<
$G/libthread-local-dynamic.so: tests/gpu/thread_local.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -o $@ $<
$G/libthread-local-descriptor.so: tests/gpu/thread_local.c
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) $(if $(filter x86_64,$(TARGET)),-mtls-dialect=gnu2) -o $@ $<
$G/libthread-local-initial.so: tests/gpu/thread_local.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -ftls-model=initial-exec -o $@ $<
USER := $(SO) '-Wl,-rpath,$$ORIGIN' -L$G
$G/libthread-local-user-dynamic.so: tests/gpu/thread_local_user.c $G/libthread-local-dynamic.so
	@echo 'LD  $@'; $(USER) -o $@ $< -lthread-local-dynamic
$G/libthread-local-user-descriptor.so: tests/gpu/thread_local_user.c \
    $G/libthread-local-descriptor.so
	@echo 'LD  $@'
	@$(USER) $(if $(filter x86_64,$(TARGET)),-mtls-dialect=gnu2) -o $@ $< \
	    -lthread-local-descriptor
$G/libthread-local-user-initial.so: tests/gpu/thread_local_user.c $G/libthread-local-initial.so
	@echo 'LD  $@'; $(USER) -ftls-model=initial-exec -o $@ $< -lthread-local-initial
$G/libsecond.so: tests/gpu/order.c
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) -DNAME=second -Wl,-init,begin -Wl,-fini,end \
	    -Wl,-soname,libsecond.so -o $@ $<
$G/libfirst.so: tests/gpu/order.c $G/libsecond.so
	@echo 'LD  $@'
	@$(SO) -DNAME=first -DNEXT=second -Wl,-init,begin -Wl,-fini,end -o $@ $< -L$G -lsecond \
	    '-Wl,-rpath,$$ORIGIN'
$G/libshapes.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DWITH_INDIRECT -o $@ $<
$G/libresolver.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DWITH_RESOLVER_THAT_CALLS -o $@ $<
# Older linkers make no RELR and warn of the flag.
$G/librelr.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -Wl,-z,pack-relative-relocs -o $@ $<
$G/libmissing-function.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DMISSING_FUNCTION -o $@ $<
$G/libmissing-variable.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DMISSING_VARIABLE -o $@ $<
# Each needs the other: the first is linked with a stand-in of the second.
$G/libcycle.so: tests/gpu/sibling.c
	@mkdir -p $G/stand-in
	@echo 'LD  $@'; $(SO) -Wl,-soname,libcycle-back.so -o $G/stand-in/libcycle-back.so $<
	@$(SO) -Wl,-soname,libcycle.so -o $@ $< -Wl,--no-as-needed -L$G/stand-in -lcycle-back
$G/libcycle-back.so: tests/gpu/sibling.c $G/libcycle.so
	@echo 'LD  $@'
	@$(SO) -Wl,-soname,libcycle-back.so -o $@ $< -Wl,--no-as-needed -L$G -lcycle \
	    -Wl,--allow-shlib-undefined
$G/libplain.so: tests/gpu/plain.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -nostdlib -o $@ $<
$G/libhostile.so: tests/gpu/hostile.c
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) -nostdlib -Wl,--hash-style=both -Wl,-z,pack-relative-relocs -o $@ $<
$G/libscope-inner.so: tests/gpu/scope.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DINNER -Wl,-soname,libscope-inner.so -o $@ $<
$G/libscope.so: tests/gpu/scope.c $G/libscope-inner.so
	@echo 'LD  $@'; $(USER) -o $@ $< -lscope-inner
# With the distribution's libstdc++ and libgcc_s.
$G/libexceptions.so: tests/gpu/exceptions.cc
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO:gcc=g++) -o $@ $<
# Needs libnext-000.so; tests write the number of another one over it.
$G/libchain.so: tests/gpu/plain.c
	@mkdir -p $G/stand-in; echo 'LD  $@'; $(SO) -nostdlib -o $G/stand-in/libnext-000.so $<
	@$(SO) -nostdlib -o $@ $< -Wl,--no-as-needed -L$G/stand-in -lnext-000
FAKE := $(wildcard tests/gpu/fakedevice*.c tests/gpu/ptx*.c)
$G/libcuda.so.1: $(FAKE) $(wildcard tests/gpu/fakedevice*.h tests/gpu/ptx*.h)
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) -std=gnu11 -O3 -fno-math-errno -fno-trapping-math -Werror \
	    -Wl,-soname,libcuda.so.1 -o $@ $(FAKE) -lpthread -lm

$G/libnvrtc.so.12 $G/libcublas.so.12: $G/lib%.so.12: tests/gpu/fake%.c
	@mkdir -p $(@D)
	@echo 'LD  $@'; $(SO) -std=gnu11 -Werror -Wl,-soname,lib$*.so.12 -o $@ $< -ldl

-include $P/probe.d $P/cudalibs.d
