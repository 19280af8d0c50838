# The programs and libraries of the GPU loader's tests, over the product's own rules:
#   build/gpu/probe         static on musl, from the objects that ship      (tests/gpu/probe.c)
#   build/gpu/probe-glibc   the same on glibc with dlopen
#   build/gpu/lib*.so       libraries made for glibc, by the system's compiler
#   build/gpu/libcuda.so.1  the fake driver, which has devices
include vendor/build.mk

G := build/gpu
GPU_LIBS := $(addprefix $G/lib,contracts.so sibling.so tls-dynamic.so tls-descriptor.so tls-initial.so \
    first.so second.so shapes.so relr.so missing-function.so missing-variable.so cycle.so cycle-back.so plain.so cuda.so.1)
# The system's own compiler and C library: what drivers are made with.
SO := $(HOST_CC) -shared -fPIC -O1 -Wall -Wextra -fvisibility=hidden

.PHONY: gpu-tests
gpu-tests: $G/probe $G/probe-glibc $(GPU_LIBS)
	@:

$G/probe.o: tests/gpu/probe.c $B/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CC) $(CFLAGS) -Wall -Wextra -Wno-stringop-overflow -Werror $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$G/probe: $G/probe.o $(LINKED)
	@echo 'LD  $@'; $(CC) $(LDFLAGS) -o $@ $(CRT) $< $(CORE_OBJ) $B/libbearssl.a $(LIBS) $(CRT_END)

$G/probe-glibc: tests/gpu/probe.c
	@mkdir -p $(@D); echo 'LD  $@'; $(HOST_CC) -D_GNU_SOURCE -DON_GLIBC -O1 -Wall -Wextra -o $@ $< -ldl -lpthread

$G/libcontracts.so: tests/gpu/contracts.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -Wno-deprecated-declarations -static-libgcc -o $@ $< -Wl,-soname,libcontracts.so
$G/libsibling.so: tests/gpu/sibling.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -o $@ $<
$G/libtls-dynamic.so: tests/gpu/tls.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -o $@ $<
$G/libtls-descriptor.so: tests/gpu/tls.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) $(if $(filter x86_64,$(TARGET)),-mtls-dialect=gnu2) -o $@ $<
$G/libtls-initial.so: tests/gpu/tls.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -ftls-model=initial-exec -o $@ $<
$G/libsecond.so: tests/gpu/order.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DNAME=second -Wl,-init,begin -Wl,-fini,end -Wl,-soname,libsecond.so -o $@ $<
$G/libfirst.so: tests/gpu/order.c $G/libsecond.so
	@echo 'LD  $@'; $(SO) -DNAME=first -DNEXT=second -Wl,-init,begin -Wl,-fini,end -o $@ $< -L$G -lsecond '-Wl,-rpath,$$ORIGIN'
$G/libshapes.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DWITH_INDIRECT -o $@ $<
# Older linkers make no RELR and warn of the flag.
$G/librelr.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -Wl,-z,pack-relative-relocs -o $@ $<
$G/libmissing-function.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DMISSING_FUNCTION -o $@ $<
$G/libmissing-variable.so: tests/gpu/shapes.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -DMISSING_VARIABLE -o $@ $<
# Each needs the other: the first is linked with a stand-in of the second.
$G/libcycle.so: tests/gpu/sibling.c
	@mkdir -p $G/stand-in; echo 'LD  $@'; $(SO) -Wl,-soname,libcycle-back.so -o $G/stand-in/libcycle-back.so $<
	@$(SO) -Wl,-soname,libcycle.so -o $@ $< -Wl,--no-as-needed -L$G/stand-in -lcycle-back
$G/libcycle-back.so: tests/gpu/sibling.c $G/libcycle.so
	@echo 'LD  $@'; $(SO) -Wl,-soname,libcycle-back.so -o $@ $< -Wl,--no-as-needed -L$G -lcycle -Wl,--allow-shlib-undefined
$G/libplain.so: tests/gpu/plain.c
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -nostdlib -o $@ $<
FAKE := $(wildcard tests/gpu/fakedevice*.c)
$G/libcuda.so.1: $(FAKE) tests/gpu/fakedevice.h
	@mkdir -p $(@D); echo 'LD  $@'; $(SO) -std=gnu11 -O2 -Werror -Wl,-soname,libcuda.so.1 -o $@ $(FAKE) -lpthread

-include $G/probe.d
