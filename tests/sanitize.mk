# Workers under a sanitizer, on glibc: build/NAME-worker/worker, worker-gpu, handlers/..., and the
# black-box tests' own handlers as test-handlers/... there. They run the product's own source. By
# gcc: with clang 14's runtime of ThreadSanitizer a worker whose threads end while main exits jumps
# to nowhere now and then.
#   SANITIZER=tsan   ThreadSanitizer
#   SANITIZER=asan   AddressSanitizer with LeakSanitizer, and UndefinedBehaviorSanitizer
include vendor/build.mk

comma := ,

SANITIZER ?= tsan
T := build/$(SANITIZER)-worker
T_CC := gcc
T_FLAGS_tsan := -fsanitize=thread
T_FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
T_SANITIZE := $(T_FLAGS_$(SANITIZER))
T_BASE := -std=gnu11 -O1 -g -fno-omit-frame-pointer
T_CFLAGS := $(T_BASE) $(T_SANITIZE) -DSANITIZED=1
# BearSSL shifts and reads words as it likes, with its compilers known; bounds are checked.
T_BEARSSL := $(T_BASE) -w \
    $(filter-out -fno-sanitize-recover=all,$(subst $(comma)undefined,,$(T_SANITIZE)))
# What optimisation for the sanitizers makes gcc suspect, and never ships.
T_WARN := -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
T_OWN := $(sort $(basename $(notdir $(wildcard tests/blackbox/handlers/*.c))))

$(call remember,$T/flags,$(shell $(T_CC) -dumpversion) $(VENDORED) $(T_CFLAGS) $(WARN) $(INCLUDES))
T_CORE := $(CORE_SRC:%.c=$T/%.o) $T/gen/roots.o $T/tests/sanitize.o
T_BEARSSL_OBJ := $(BEARSSL_SRC:$(BEARSSL)/%.c=$T/bearssl/%.o) $(VENDOR_SRC:%.c=$T/%.o)

$T/src/%.o: src/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_CFLAGS) $(WARN) $(T_WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/src/source/endpoint_files.o: $(EMBEDDED)

$T/gen/roots.o: build/gen/roots.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(T_CC) $(T_BASE) -c $< -o $@

$T/bearssl/%.o: $(BEARSSL)/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BEARSSL) $(BEARSSL_FLAGS) -MMD -MP -c $< -o $@

$T/vendor/%.o: vendor/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_CFLAGS) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/tests/sanitize.o: tests/sanitize.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(T_CC) $(T_CFLAGS) -c $< -o $@

$T/tests/blackbox/handlers/%.o: tests/blackbox/handlers/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_CFLAGS) -Wall -Wextra $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/libbearssl.a: $(T_BEARSSL_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

T_LINK = @mkdir -p $(@D); echo 'LD  $@'; $(T_CC) $(T_SANITIZE) -o $@ $^ -lpthread -lm

$T/worker: $T/src/main.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

$T/src/main_gpu.o: src/main.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_CFLAGS) $(WARN) $(T_WARN) $(DEFS) -DWORKER_GPU $(INCLUDES) -MMD -MP -c $< -o $@

$T/worker-gpu: $T/src/main_gpu.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

.SECONDEXPANSION:
$T/handlers/%: $$(call handler_objects,$$*,$T) $(T_CORE) $T/libbearssl.a
	$(T_LINK)

$T/test-handlers/%: $T/tests/blackbox/handlers/%.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

.PHONY: sanitized
sanitized: $T/worker $T/worker-gpu $(HANDLERS:%=$T/handlers/%) $(T_OWN:%=$T/test-handlers/%)
	@:

-include $(T_CORE:.o=.d) $(T_BEARSSL_OBJ:.o=.d) $(call handler_deps,$T) $T/src/main.d \
    $T/src/main_gpu.d
