# Workers under ThreadSanitizer, on glibc: build/tsan/worker and worker-gpu, build/tsan/handlers/NAME, and the black-box
# tests' own handlers as build/tsan/test-handlers/NAME. What they run is the product's own source. By gcc: with
# clang 14's runtime a worker whose threads end while main exits jumps to nowhere now and then.
include vendor/build.mk

T := build/tsan
T_CC := gcc
T_BASE := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fsanitize=thread
T_OWN := $(sort $(patsubst tests/blackbox/handlers/%.c,%,$(wildcard tests/blackbox/handlers/*.c)))

$(call remember,$T/flags,$(shell $(T_CC) -dumpversion) $(VENDORED) $(T_BASE) $(WARN) $(INCLUDES))
T_CORE := $(CORE_SRC:%.c=$T/%.o) $T/gen/roots.o
T_BEARSSL_OBJ := $(BEARSSL_SRC:$(BEARSSL)/%.c=$T/bearssl/%.o) $T/vendor/bearssl_seed.o

$T/src/%.o: src/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BASE) $(WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/gen/roots.o: build/gen/roots.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(T_CC) $(T_BASE) -c $< -o $@

$T/bearssl/%.o: $(BEARSSL)/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BASE) -w $(BEARSSL_FLAGS) -MMD -MP -c $< -o $@

$T/vendor/%.o: vendor/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BASE) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/tests/blackbox/handlers/%.o: tests/blackbox/handlers/%.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BASE) -Wall -Wextra $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$T/libbearssl.a: $(T_BEARSSL_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

T_LINK = @mkdir -p $(@D); echo 'LD  $@'; $(T_CC) -fsanitize=thread -o $@ $^ -lpthread -lm

$T/worker: $T/src/main.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

$T/src/main_gpu.o: src/main.c $T/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(T_CC) $(T_BASE) $(WARN) $(DEFS) -DWORKER_GPU $(INCLUDES) -MMD -MP -c $< -o $@

$T/worker-gpu: $T/src/main_gpu.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

$T/handlers/%: $T/src/handlers/%.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

$T/test-handlers/%: $T/tests/blackbox/handlers/%.o $(T_CORE) $T/libbearssl.a
	$(T_LINK)

.PHONY: tsan
tsan: $T/worker $T/worker-gpu $(HANDLERS:%=$T/handlers/%) $(T_OWN:%=$T/test-handlers/%)
	@:

-include $(T_CORE:.o=.d) $(T_BEARSSL_OBJ:.o=.d) $(HANDLERS:%=$T/src/handlers/%.d) $T/src/main.d $T/src/main_gpu.d
