# What is compiled from what. build.sh calls it, from the top folder, with
#   TARGET  x86_64 or aarch64      OUT  folder of the finished binaries
#   CC AR STRIP                    the target's tools
#   MUSL_INC MUSL_LIB              musl's headers and libraries of the target
#   HOST_CC HOST_MUSL_INC HOST_MUSL_LIB  the same of this machine, for the root certificate compiler
#   ROOTS_DIR                      folder of the root certificates (*.crt)
# Everything it writes is under build/. The Makefile for the tests, tests/build.mk, includes this one.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

B := build/$(TARGET)
BEARSSL := vendor/.src/bearssl
GCC_INC := $(shell $(CC) -print-file-name=include)
LIBGCC := $(shell $(CC) -print-libgcc-file-name)
GCC_DIR := $(patsubst %/,%,$(dir $(LIBGCC)))

# --- sources -------------------------------------------------------------------------------------
CORE_SRC := $(sort $(shell find src -name '*.c' ! -path src/main.c ! -path 'src/handlers/*' 2>/dev/null))
HANDLERS := $(sort $(patsubst src/handlers/%.c,%,$(wildcard src/handlers/*.c)))
# bearssl_seed.c stands in for sysrng.c: seeds by getrandom(2).
BEARSSL_SRC := $(filter-out %/rand/sysrng.c,$(sort $(shell find $(BEARSSL)/src -name '*.c' 2>/dev/null)))

# --- flags ---------------------------------------------------------------------------------------
# Not warned of: snprintf's cut, on purpose all over (an error's text has a fixed size); strnlen's bound
# where inlining shows gcc that the text is shorter.
NOISE := -Wno-format-truncation -Wno-stringop-overread
WARN := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wpointer-arith -Wcast-qual -Wwrite-strings \
    $(NOISE) -Werror
DEFS := -D_GNU_SOURCE
INCLUDES := -Isrc -isystem $(BEARSSL)/inc -isystem vendor/.src/jsmn

# Measured with gcc 12 on x86-64, bytes of build/worker (61 KB of them roots; it grows by pages):
#   -O2 345,784   -Os 304,824   -Os, LTO 300,744   -Oz 304,824   -Oz, LTO 296,648
# 10 MB in and 8 MB out take the same time with all of them (25 to 31 ms), so does a P-256 signature's
# check (0.6 to 0.7 ms). LTO objects are fat, so that test programs can be linked without.
OPT ?= $(if $(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 && echo yes),-Oz,-Os)
LTO ?= -flto=auto -ffat-lto-objects
# rcrt1.o relocates a static-pie; without it the program is static at a fixed address.
PIE := $(if $(wildcard $(MUSL_LIB)/rcrt1.o),yes)
PIC := $(if $(PIE),-fPIE,-fno-pie)
HARDEN := -fstack-protector-strong -fstack-clash-protection
# BearSSL's buffers of bytes are guarded, its big integers, whose sizes are constants, are not: 1.7 KB.
BEARSSL_HARDEN := -fstack-protector -fstack-clash-protection
LEAN := -ffunction-sections -fdata-sections -fvisibility=hidden -fno-plt -fno-ident \
    -fno-asynchronous-unwind-tables -fno-unwind-tables $(if $(filter x86_64,$(TARGET)),-fcf-protection=none)
# No path of this machine in any byte.
SAME = '-ffile-prefix-map=$(CURDIR)=.' -frandom-seed=$@
MUSL_CFLAGS := -nostdinc -isystem $(GCC_INC) -isystem $(MUSL_INC)
BASE_CFLAGS := -std=gnu11 $(OPT) $(LTO) $(PIC) $(LEAN) $(MUSL_CFLAGS)
CFLAGS := $(BASE_CFLAGS) $(HARDEN)
BEARSSL_CFLAGS := $(BASE_CFLAGS) $(BEARSSL_HARDEN)

BEARSSL_DEFS := -DBR_USE_URANDOM=0 -DBR_USE_WIN32_RAND=0 -DBR_USE_UNIX_TIME=1 -DBR_INT128=1 \
    -DBR_LE_UNALIGNED=1 -DBR_RDRAND=0 \
    $(if $(filter x86_64,$(TARGET)),-DBR_AES_X86NI=1 -DBR_SSE2=1)
BEARSSL_FLAGS = $(BEARSSL_DEFS) -I$(BEARSSL)/inc -I$(BEARSSL)/src

CRT := $(if $(PIE),$(MUSL_LIB)/rcrt1.o,$(MUSL_LIB)/crt1.o) $(MUSL_LIB)/crti.o \
    $(GCC_DIR)/$(if $(PIE),crtbeginS.o,crtbeginT.o) $B/vendor/relro.o
CRT_END := $(GCC_DIR)/$(if $(PIE),crtendS.o,crtend.o) $(MUSL_LIB)/crtn.o
# noseparate-code: 4,096 bytes less than with pages of their own for what is read and never run; the
# idle worker is resident with the same 0.4 MiB.
LDFLAGS := $(OPT) $(LTO) $(NOISE) -nostdlib $(if $(PIE),-static-pie,-static -no-pie) \
    -Wl,--gc-sections -Wl,--build-id=none \
    -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,--hash-style=gnu -Wl,--as-needed
STRIP_FLAGS := --strip-all -R .comment -R .note.gnu.property
LIBS := -Wl,--start-group $(MUSL_LIB)/libc.a $(LIBGCC) -Wl,--end-group

# --- objects -------------------------------------------------------------------------------------
CORE_OBJ := $(CORE_SRC:%.c=$B/%.o) $B/gen/roots.o
BEARSSL_OBJ := $(BEARSSL_SRC:$(BEARSSL)/%.c=$B/bearssl/%.o) $B/vendor/bearssl_seed.o

WORKER := $(if $(wildcard src/main.c),$(OUT)/worker $(OUT)/worker-gpu)
BINARIES := $(WORKER) $(HANDLERS:%=$(OUT)/handlers/%)

.PHONY: all
all: $(BINARIES)
	@:

# Loops over every byte of a payload, or every relocation of a driver: at -Oz they are what a large
# job, or the first one, waits for.
HOT ?= src/codec/json_doc.c src/gpu/loader_bind.c
hot = $(if $(filter $(HOT),$<),-O2)

# A change of flags, tools or vendored sources (their files carry old dates) rebuilds what they made:
# each set of objects depends on a file that holds its command line, written only where it differs.
VENDORED := $(shell cat vendor/.src/bearssl/.sha256 vendor/.src/jsmn/.sha256)
TOOLS := $(CC) $(shell $(CC) -dumpfullversion) $(VENDORED)
remember = $(shell mkdir -p $(dir $(1)); printf '%s\n' '$(2)' | cmp -s - $(1) || printf '%s\n' '$(2)' >$(1))
$(call remember,$B/flags,$(TOOLS) $(CFLAGS) $(HOT) $(WARN) $(DEFS) $(INCLUDES) $(LDFLAGS))
$(call remember,$B/flags-bearssl,$(TOOLS) $(BEARSSL_CFLAGS) $(BEARSSL_DEFS))

$B/src/%.o: src/%.c $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(hot) $(SAME) $(WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$B/gen/roots.o: build/gen/roots.c $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(SAME) -c $< -o $@

$B/bearssl/%.o: $(BEARSSL)/%.c $B/flags-bearssl
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(BEARSSL_CFLAGS) $(SAME) $(BEARSSL_FLAGS) -MMD -MP -c $< -o $@

$B/vendor/%.o: vendor/%.c $B/flags-bearssl
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(SAME) $(WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$B/libbearssl.a: $(BEARSSL_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

# --- binaries ------------------------------------------------------------------------------------
# LINK OUTPUT OBJECTS: link, look at what came out, strip. The unstripped one stays for debuggers.
define link
	@mkdir -p $(@D) $B/debug; echo 'LD  $@'
	@$(CC) $(LDFLAGS) -o $B/debug/$(@F) $(CRT) $(1) $B/libbearssl.a $(LIBS) $(CRT_END)
	@vendor/check-binary.sh $B/debug/$(@F) $(if $(PIE),pie,fixed)
	@$(STRIP) $(STRIP_FLAGS) -o $@.part $B/debug/$(@F) && mv $@.part $@
endef
LINKED := $(CORE_OBJ) $B/vendor/relro.o $B/libbearssl.a vendor/check-binary.sh vendor/build.mk

$(OUT)/worker: $B/src/main.o $(LINKED)
	$(call link,$< $(CORE_OBJ))

# The same with the GPU part, which is most of it; see src/main.c.
$B/src/main_gpu.o: src/main.c $B/flags
	@mkdir -p $(@D); echo 'CC  $< (GPU)'
	@$(CC) $(CFLAGS) $(SAME) $(WARN) $(DEFS) -DWORKER_GPU $(INCLUDES) -MMD -MP -c $< -o $@

$(OUT)/worker-gpu: $B/src/main_gpu.o $(LINKED)
	$(call link,$< $(CORE_OBJ))

$(OUT)/handlers/%: $B/src/handlers/%.o $(LINKED)
	$(call link,$< $(CORE_OBJ))

# A user's own handler: HANDLER_SRC to HANDLER_OUT by way of the folder HANDLER_TMP, with ordinary
# warnings. The first two are named to the shell only, quoted: they may lie anywhere.
ifdef HANDLER_SRC
.PHONY: user-handler
user-handler: $(LINKED)
	@mkdir -p "$$(dirname '$(HANDLER_OUT)')"; echo 'CC  $(HANDLER_SRC)'
	@$(CC) $(CFLAGS) "-ffile-prefix-map=$$(dirname '$(HANDLER_SRC)')=." -frandom-seed=handler \
	    -Wall -Wextra $(DEFS) -Isrc -c '$(HANDLER_SRC)' -o '$(HANDLER_TMP)/handler.o'
	@echo 'LD  $(HANDLER_OUT)'
	@$(CC) $(LDFLAGS) -o '$(HANDLER_TMP)/linked' $(CRT) '$(HANDLER_TMP)/handler.o' $(CORE_OBJ) \
	    $B/libbearssl.a $(LIBS) $(CRT_END)
	@vendor/check-binary.sh '$(HANDLER_TMP)/linked' $(if $(PIE),pie,fixed)
	@$(STRIP) $(STRIP_FLAGS) -o '$(HANDLER_OUT)' '$(HANDLER_TMP)/linked'
endif

# --- root certificates ---------------------------------------------------------------------------
# The compiler of them is a program of this machine, on musl as well: no other headers are needed.
ROOT_CERTS := $(sort $(wildcard $(ROOTS_DIR)/*.crt))
HOST_GCC_DIR := $(patsubst %/,%,$(dir $(shell $(HOST_CC) -print-libgcc-file-name)))
ROOTS_SRC := vendor/roots.c $(addprefix $(BEARSSL)/src/,x509/x509_decoder.c codec/pemdec.c)

build/gen/roots: $(ROOTS_SRC)
	@mkdir -p $(@D); echo 'CC  $<'
	@$(HOST_CC) -O1 -Wall -Wextra -nostdinc -isystem $(shell $(HOST_CC) -print-file-name=include) \
	    -isystem $(HOST_MUSL_INC) -I$(BEARSSL)/inc -I$(BEARSSL)/src -ffunction-sections -nostdlib \
	    -static -no-pie -Wl,--gc-sections -o $@ $(HOST_MUSL_LIB)/crt1.o $(HOST_MUSL_LIB)/crti.o \
	    $(ROOTS_SRC) $(HOST_MUSL_LIB)/libc.a $(HOST_GCC_DIR)/libgcc.a $(HOST_MUSL_LIB)/crtn.o

build/gen/roots.c: build/gen/roots $(ROOT_CERTS)
	@echo 'GEN $@'; build/gen/roots $@.part $(ROOT_CERTS) && mv $@.part $@

-include $(CORE_SRC:%.c=$B/%.d) $(HANDLERS:%=$B/src/handlers/%.d) $B/src/main.d $B/src/main_gpu.d $(BEARSSL_OBJ:.o=.d) $B/vendor/relro.d
