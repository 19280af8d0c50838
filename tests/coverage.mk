# Programs that count what of src/ is run, linked as the product is, static on musl, in
# build/coverage: worker and worker-gpu, handlers/NAME, test-handlers/NAME (the black-box tests'
# own), unit/NAME, gpu/probe. src/ is compiled by clang with counters; all the rest are the objects
# of the ordinary builds.
#
# The counters are mapped into files of build/coverage/raw (%c, and four of them a program, %4m), so
# that they survive however a process ends: by _exit or by a signal. The path is compiled in, since
# the tests start workers with an environment of their own.
include tests/build.mk

C := build/coverage
C_CC := clang
C_RUNTIME := $(shell $(C_CC) -print-file-name=lib/linux/libclang_rt.profile-$(TARGET).a)
C_CFLAGS := -std=gnu11 -O1 -g -w $(PIC) -nostdinc \
    -isystem $(shell $(C_CC) -print-resource-dir)/include -isystem $(MUSL_INC) \
    -fprofile-instr-generate=$(CURDIR)/$C/raw/%4m%c.profraw -fcoverage-mapping \
    -mllvm -runtime-counter-relocation
C_OWN := $(sort $(patsubst tests/blackbox/handlers/%.c,%,$(wildcard tests/blackbox/handlers/*.c)))

C_FLAGS := $(shell $(C_CC) -dumpversion) $(VENDORED) $(C_CFLAGS) $(INCLUDES)
$(call remember,$C/flags,$(C_FLAGS))
C_CORE := $(CORE_SRC:%.c=$C/%.o) $B/gen/roots.o $C/glibc.o

$C/src/%.o: src/%.c $C/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(C_CC) $(C_CFLAGS) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$C/src/source/endpoint_files.o: $(EMBEDDED)

$C/src/main_gpu.o: src/main.c $C/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(C_CC) $(C_CFLAGS) $(DEFS) -DWORKER_GPU $(INCLUDES) -MMD -MP -c $< -o $@

# What clang's runtime, which was compiled for glibc, uses of it.
$C/glibc.o: tests/coverage_glibc.c $C/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(CC) $(CFLAGS) -c $< -o $@

$C/tests/%.o: tests/%.c $B/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CC) $(CFLAGS) -fno-lto -w $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

C_LINK = @mkdir -p $(@D); echo 'LD  $@'; \
    $(CC) $(filter-out -Wl$(,)--gc-sections,$(LDFLAGS)) -fno-lto -u __llvm_profile_runtime -o $@ \
    $(CRT) $(filter %.o %.a,$^) $(C_RUNTIME) $(LIBS) $(CRT_END)
, := ,
C_PARTS := $(C_CORE) $B/libbearssl.a | $(START_OBJ)

$C/worker: $C/src/main.o $(C_PARTS)
	$(C_LINK)

$C/worker-gpu: $C/src/main_gpu.o $(C_PARTS)
	$(C_LINK)

.SECONDEXPANSION:
$C/handlers/%: $$(call handler_objects,$$*,$C) $(C_PARTS)
	$(C_LINK)

$C/test-handlers/%: $C/tests/blackbox/handlers/%.o $(C_PARTS)
	$(C_LINK)

$C/gpu/%: $C/tests/gpu/%.o $(C_PARTS)
	$(C_LINK)

$C/unit/%: $B/tests/unit/%.o $(UNIT_HELP:%.c=$B/%.o) $B/cmocka.o $(C_PARTS)
	$(C_LINK)

$(eval $(call tests_of_handlers,$C))

.PHONY: coverage
coverage: $C/worker $C/worker-gpu $(HANDLERS:%=$C/handlers/%) $(C_OWN:%=$C/test-handlers/%) \
    $C/gpu/probe $C/gpu/cudalibs $(UNIT:%=$C/unit/%)
	@:

-include $(CORE_SRC:%.c=$C/%.d) $(call handler_deps,$C) $C/src/main.d $C/src/main_gpu.d \
    $(C_OWN:%=$C/tests/blackbox/handlers/%.d) $C/tests/gpu/probe.d $C/tests/gpu/cudalibs.d
