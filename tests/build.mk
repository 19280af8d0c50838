# The tests' programs, over the product's own rules. Two builds of everything:
#   asan  clang on glibc with AddressSanitizer, UndefinedBehaviorSanitizer and libFuzzer's coverage:
#         unit tests into build/asan/unit/, fuzz targets into build/asan/fuzz/
#   musl  unit tests linked as the product is, from the very objects that ship: build/TARGET/unit/
include vendor/build.mk

UNIT := $(sort $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c)))
FUZZ := $(sort $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
# Helpers that several tests share: other .c files beside them.
UNIT_HELP := $(sort $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c)))
FUZZ_HELP := $(sort $(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)))

CMOCKA := vendor/.src/cmocka
CMOCKA_FLAGS := -I$(CMOCKA)/include -D_GNU_SOURCE -DHAVE_CLOCK_GETTIME -DHAVE_CLOCK_REALTIME \
    -DHAVE_GCC_THREAD_LOCAL_STORAGE -DHAVE_INTTYPES_H -DHAVE_MALLOC_H -DHAVE_SIGNAL_H \
    -DHAVE_STRINGS_H -DHAVE_STRUCT_TIMESPEC -DHAVE_TIME_H -DHAVE_UNISTD_H
TEST_WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wundef -Wvla -Wformat=2 \
    -Wno-format-truncation -Wno-stringop-overflow -Werror
TEST_INC := $(INCLUDES) -Itests/unit -isystem $(CMOCKA)/include

# Files of a handler that a test of theirs is linked with: the core does not have them.
SENTIMENT_PARTS := attention network network_config batch
parts_of = $(patsubst %,$(1)/src/handlers/sentiment/%.o,$(2))
define tests_of_handlers
$(1)/unit/test_sentiment_network: $(call parts_of,$(1),attention network network_config)
$(1)/unit/test_sentiment_batch: $(call parts_of,$(1),batch)
endef

# --- asan ----------------------------------------------------------------------------------------
A := build/asan
CLANG := clang
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
# clang knows not all of gcc's warnings, and takes a va_list's format for a literal's.
CLANG_WARN := -Wno-unknown-warning-option -Wno-format-nonliteral
A_BASE := -std=gnu11 -O1 -g -fno-omit-frame-pointer
A_CFLAGS := $(A_BASE) $(SANITIZE) -fsanitize=fuzzer-no-link -DSANITIZED=1
# BearSSL shifts and reads words as it likes, with its compilers known; its bounds are checked too.
A_BEARSSL := $(A_BASE) -fsanitize=address -w

A_FLAGS := $(shell $(CLANG) -dumpversion) $(VENDORED) $(A_CFLAGS) $(WARN) $(TEST_WARN) $(INCLUDES) \
    $(CMOCKA_FLAGS)
$(call remember,$A/flags,$(A_FLAGS))
A_CORE := $(CORE_SRC:%.c=$A/%.o) $A/gen/roots.o
A_BEARSSL_OBJ := $(BEARSSL_SRC:$(BEARSSL)/%.c=$A/bearssl/%.o) $(VENDOR_SRC:%.c=$A/%.o)

$A/src/%.o: src/%.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CLANG) $(A_CFLAGS) $(WARN) $(CLANG_WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$A/src/source/endpoint_files.o: $(EMBEDDED)

$A/gen/roots.o: build/gen/roots.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(CLANG) $(A_BASE) -c $< -o $@

$A/bearssl/%.o: $(BEARSSL)/%.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CLANG) $(A_BEARSSL) $(BEARSSL_FLAGS) -MMD -MP -c $< -o $@

$A/vendor/%.o: vendor/%.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CLANG) $(A_CFLAGS) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$A/cmocka.o: $(CMOCKA)/src/cmocka.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'; $(CLANG) $(A_BASE) -w $(CMOCKA_FLAGS) -c $< -o $@

$A/tests/%.o: tests/%.c $A/flags
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CLANG) $(A_CFLAGS) $(TEST_WARN) $(CLANG_WARN) $(DEFS) $(TEST_INC) -MMD -MP -c $< -o $@

$A/libbearssl.a: $(A_BEARSSL_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

$A/unit/%: $A/tests/unit/%.o $(UNIT_HELP:%.c=$A/%.o) $(A_CORE) $A/cmocka.o $A/libbearssl.a
	@mkdir -p $(@D); echo 'LD  $@'
	@$(CLANG) $(SANITIZE) -fsanitize=fuzzer-no-link -o $@ $^ -lpthread -lm

$(eval $(call tests_of_handlers,$A))

$A/fuzz/%: $A/tests/fuzz/%.o $(FUZZ_HELP:%.c=$A/%.o) $(A_CORE) $A/libbearssl.a
	@mkdir -p $(@D); echo 'LD  $@'
	@$(CLANG) $(SANITIZE) -fsanitize=fuzzer -o $@ $^ -lpthread -lm

# --- musl ----------------------------------------------------------------------------------------
$(call remember,$B/flags-tests,$(TOOLS) $(CFLAGS) $(TEST_WARN) $(CMOCKA_FLAGS))

$B/tests/%.o: tests/%.c $B/flags $B/flags-tests
	@mkdir -p $(@D); echo 'CC  $@'
	@$(CC) $(CFLAGS) $(TEST_WARN) $(DEFS) $(TEST_INC) -MMD -MP -c $< -o $@

$B/cmocka.o: $(CMOCKA)/src/cmocka.c $B/flags-tests
	@mkdir -p $(@D); echo 'CC  $@'; $(CC) $(CFLAGS) -w $(CMOCKA_FLAGS) -c $< -o $@

$B/unit/%: $B/tests/unit/%.o $(UNIT_HELP:%.c=$B/%.o) $(CORE_OBJ) $B/cmocka.o $B/libbearssl.a \
    | $(START_OBJ)
	@mkdir -p $(@D); echo 'LD  $@'
	@$(CC) $(LDFLAGS) -fno-lto -o $@ $(CRT) $^ $(LIBS) $(CRT_END)

$(eval $(call tests_of_handlers,$B))

# The black-box tests' own handlers, where ./build.sh handler does not build for the tested workers.
OWN_HANDLERS := $(sort $(basename $(notdir $(wildcard tests/blackbox/handlers/*.c))))

$(OUT)/test-handlers/%: $B/tests/blackbox/handlers/%.o $(LINKED)
	$(call link,$< $B/libcore.a)

.PHONY: unit-asan unit-musl fuzz workers
workers: $(BINARIES) $(OWN_HANDLERS:%=$(OUT)/test-handlers/%)
	@:
unit-asan: $(UNIT:%=$A/unit/%)
	@:
unit-musl: $(UNIT:%=$B/unit/%)
	@:
fuzz: $(FUZZ:%=$A/fuzz/%)
	@:

-include $(patsubst %.o,%.d,$(A_CORE) $(A_BEARSSL_OBJ) $(UNIT:%=$A/tests/unit/%.o) \
    $(FUZZ:%=$A/tests/fuzz/%.o) $(UNIT:%=$B/tests/unit/%.o) $(UNIT_HELP:%.c=$A/%.o) \
    $(UNIT_HELP:%.c=$B/%.o) $(FUZZ_HELP:%.c=$A/%.o) $(call parts_of,$A,$(SENTIMENT_PARTS)))
