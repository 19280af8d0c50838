# What is compiled from what. build.sh calls it, from the top folder, with
#   TARGET  x86_64 or aarch64      OUT  folder of the finished binaries
#   CC AR STRIP                    the target's tools
#   MUSL_INC MUSL_LIB              musl's headers and libraries of the target
#   HOST_CC HOST_MUSL_INC HOST_MUSL_LIB  the same of this machine, for the root certificate compiler
#   ROOTS_DIR                      folder of the root certificates (*.crt)
# Everything it writes is under build/. tests/build.mk, the Makefile for the tests, includes it.

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
CORE_SRC := $(sort $(shell find src -name '*.c' ! -path src/main.c ! -path src/app/sbom.c \
    ! -path 'src/handlers/*' 2>/dev/null))
# A handler is a file, or a folder of files that are linked together.
HANDLERS := $(sort $(patsubst src/handlers/%.c,%,$(wildcard src/handlers/*.c)) \
    $(patsubst src/handlers/%/,%,$(dir $(wildcard src/handlers/*/*.c))))
handler_files = $(sort $(wildcard src/handlers/$(1).c src/handlers/$(1)/*.c))
# Their objects below the folder $(2).
handler_objects = $(patsubst %.c,$(2)/%.o,$(call handler_files,$(1)))
# What the compiler notes beside all objects of handlers below the folder $(1).
handler_deps = $(foreach name,$(HANDLERS),$(patsubst %.c,$(1)/%.d,$(call handler_files,$(name))))
# bearssl_seed.c stands in for sysrng.c: seeds by getrandom(2).
BEARSSL_SRC := $(filter-out %/rand/sysrng.c,$(sort \
    $(shell find $(BEARSSL)/src -name '*.c' 2>/dev/null)))

VENDOR_SRC := vendor/bearssl_seed.c vendor/curves.c

# --- flags ---------------------------------------------------------------------------------------
# Not warned of: snprintf's cut, on purpose all over (an error's text has a fixed size); strnlen's
# bound where inlining shows gcc that the text is shorter.
NOISE := -Wno-format-truncation -Wno-stringop-overread
WARN := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wpointer-arith -Wcast-qual -Wwrite-strings \
    $(NOISE) -Werror
DEFS := -D_GNU_SOURCE
RING := vendor/.src/rust-ring
INCLUDES := -Isrc -isystem $(BEARSSL)/inc -isystem vendor/.src/jsmn
# Of ring only two files are compiled, as parts of vendor/curves.c.
%/vendor/curves.o: INCLUDES += -isystem vendor -isystem $(RING) -isystem $(RING)/include

# Measured with gcc 12 on x86-64, bytes of build/worker (61 KB of them roots; it grows by pages):
#   -O2 345,784   -Os 304,824   -Os, LTO 300,744   -Oz 304,824   -Oz, LTO 296,648
# 10 MB in and 8 MB out take the same time with all of them (25 to 31 ms), so does a P-256
# signature's check (0.6 to 0.7 ms). LTO objects are fat, so that test programs can be linked
# without.
OPT ?= $(if $(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 && echo yes),-Oz,-Os)
LTO ?= -flto=auto -ffat-lto-objects
# rcrt1.o relocates a static-pie; without it the program is static at a fixed address.
PIE := $(if $(wildcard $(MUSL_LIB)/rcrt1.o),yes)
PIC := $(if $(PIE),-fPIE,-fno-pie)
# Whether this linker packs a static-pie's relocations: binutils 2.38 and later for x86-64.
RELR := $(if $(and $(PIE),$(filter x86_64,$(TARGET)),$(shell $(CC) -Wl,--help 2>/dev/null | \
    grep pack-relative-relocs)),yes)
HARDEN := -fstack-protector-strong -fstack-clash-protection
# BearSSL's buffers of bytes are guarded, its big integers, whose sizes are constants, are not:
# 1.7 KB.
BEARSSL_HARDEN := -fstack-protector -fstack-clash-protection
NO_EH_FRAME := -fno-asynchronous-unwind-tables -fno-unwind-tables
LEAN := -ffunction-sections -fdata-sections -fvisibility=hidden -fno-ident \
    $(NO_EH_FRAME) $(if $(filter x86_64,$(TARGET)),-fcf-protection=none)
# For debuggers: lines, and frame tables in .debug_frame, which strip removes, not in .eh_frame,
# which a program keeps (the link has to be told so again). build/TARGET/debug/NAME has them; the
# shipped bytes are the same with and without them, which the part "same" of the tests checks.
DEBUG_INFO ?= -g
# No path of this machine in any byte.
NO_PATH = '-ffile-prefix-map=$(CURDIR)=.'
SAME = $(NO_PATH) -frandom-seed=$@
MUSL_CFLAGS := -nostdinc -isystem $(GCC_INC) -isystem $(MUSL_INC)
BASE_CFLAGS := -std=gnu11 $(OPT) $(LTO) $(DEBUG_INFO) $(PIC) $(LEAN) $(MUSL_CFLAGS)
CFLAGS := $(BASE_CFLAGS) $(HARDEN)
BEARSSL_CFLAGS := $(BASE_CFLAGS) $(BEARSSL_HARDEN)

BEARSSL_DEFS := -DBR_USE_URANDOM=0 -DBR_USE_WIN32_RAND=0 -DBR_USE_UNIX_TIME=1 -DBR_INT128=1 \
    -DBR_LE_UNALIGNED=1 -DBR_RDRAND=0 \
    $(if $(filter x86_64,$(TARGET)),-DBR_AES_X86NI=1 -DBR_SSE2=1)
BEARSSL_FLAGS = $(BEARSSL_DEFS) -I$(BEARSSL)/inc -I$(BEARSSL)/src

START_OBJ := $B/vendor/relro.o $(if $(RELR),$B/vendor/relr.o)
CRT := $(if $(PIE),$(MUSL_LIB)/rcrt1.o,$(MUSL_LIB)/crt1.o) $(MUSL_LIB)/crti.o \
    $(GCC_DIR)/$(if $(PIE),crtbeginS.o,crtbeginT.o) $(START_OBJ)
CRT_END := $(GCC_DIR)/$(if $(PIE),crtendS.o,crtend.o) $(MUSL_LIB)/crtn.o
# noseparate-code: 4,096 bytes less than with pages of their own for what is read and never run; the
# idle worker is resident with the same 0.4 MiB.
LDFLAGS := $(OPT) $(LTO) $(DEBUG_INFO) $(NO_EH_FRAME) $(NOISE) -nostdlib \
    $(if $(PIE),-static-pie,-static -no-pie) -Wl,--gc-sections -Wl,--build-id=none \
    -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,noseparate-code \
    -Wl,--hash-style=gnu -Wl,--as-needed \
    $(if $(RELR),-z pack-relative-relocs -e relr_start)
STRIP_FLAGS := --strip-all -R .comment -R .note.gnu.property
LIBS := -Wl,--start-group $(MUSL_LIB)/libc.a $(LIBGCC) -Wl,--end-group

# --- objects -------------------------------------------------------------------------------------
CORE_OBJ := $(CORE_SRC:%.c=$B/%.o) $B/gen/roots.o
BEARSSL_OBJ := $(BEARSSL_SRC:$(BEARSSL)/%.c=$B/bearssl/%.o) $(VENDOR_SRC:%.c=$B/%.o)

WORKER := $(if $(wildcard src/main.c),$(OUT)/worker $(OUT)/worker-gpu)
BINARIES := $(WORKER) $(HANDLERS:%=$(OUT)/handlers/%)

.PHONY: all
all: $(BINARIES)
	@:

# Loops over every byte of a payload, or every relocation of a driver: at -Oz they are what a large
# job, or the first one, waits for.
HOT ?= src/json/doc.c src/loader/bind.c
# A network's pass is arithmetic from end to end.
HOT += src/model/matrix.c src/model/wordpiece.c src/model/unicode.c \
    $(addprefix src/handlers/sentiment/,attention.c network.c)
KERNELS := $(wildcard src/model/kernels_*.c)
hot = $(if $(filter $(KERNELS),$<),-O3,$(if $(filter $(HOT),$<),-O2))

# What refers to other files' names in assembler, which LTO would not see.
NO_LTO := src/loader/libc_table.c vendor/relr.c
lto = $(if $(filter $(NO_LTO),$<),-fno-lto) $(if $(filter vendor/relr.c,$<),-fno-stack-protector)

# A change of flags, tools or vendored sources (their files carry old dates) rebuilds what they
# made: each set of objects depends on a file that holds its command line, written only where it
# differs.
VENDORED := $(shell cat vendor/.src/bearssl/.sha256 vendor/.src/jsmn/.sha256 \
    vendor/.src/rust-ring/.sha256)
TOOLS := $(CC) $(shell $(CC) -dumpfullversion) $(VENDORED)
remember = $(shell mkdir -p $(dir $(1)); \
    printf '%s\n' '$(2)' | cmp -s - $(1) || printf '%s\n' '$(2)' >$(1))
$(call remember,$B/flags,$(TOOLS) $(CFLAGS) $(HOT) $(WARN) $(DEFS) $(INCLUDES) $(LDFLAGS))
$(call remember,$B/flags-bearssl,$(TOOLS) $(BEARSSL_CFLAGS) $(BEARSSL_DEFS))

# --- the bill of materials -----------------------------------------------------------------------
# In the stock binaries alone: 13 KB, of which the root certificates' list is the most. The flags in
# it are those that shape the code: no folders, and nothing of DEBUG_INFO.
SBOM_OBJ := $B/src/app/sbom.o $B/gen/sbom.o
SBOM_DEFINES := TARGET='$(TARGET)' CC='$(CC)' AR='$(AR)' MUSL_LIB='$(MUSL_LIB)' \
    LIBGCC='$(LIBGCC)' ROOTS_DIR='$(ROOTS_DIR)' \
    OPTIONS_CORE='-std=gnu11 $(OPT) $(LTO) $(PIC) $(LEAN) $(HARDEN) $(DEFS)' \
    OPTIONS_TLS='$(OPT) $(BEARSSL_HARDEN) $(BEARSSL_DEFS)' \
    OPTIONS_LINK='$(strip $(filter-out $(DEBUG_INFO),$(LDFLAGS)))'

$B/gen/sbom.cdx.json: vendor/sbom.sh $(shell vendor/sbom.sh files) $(wildcard $(ROOTS_DIR)/*.crt) \
    $B/flags $B/flags-bearssl
	@mkdir -p $(@D); echo 'GEN $@'; $(SBOM_DEFINES) vendor/sbom.sh $@.part && mv $@.part $@

$B/gen/sbom.gz: $B/gen/sbom.cdx.json
	@gzip -9n <$< >$@

$B/gen/sbom.o: vendor/sbom.c $B/gen/sbom.gz $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) -fno-lto $(SAME) $(WARN) -DSBOM_FILE='"$B/gen/sbom.gz"' -c $< -o $@

$B/src/%.o: src/%.c $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(hot) $(lto) $(SAME) $(WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

# Part of src/source/endpoint_files.c, by the assembler.
EMBEDDED := build/gen/console.html.gz build/gen/openapi.json.gz
build/gen/%.gz: src/source/%
	@mkdir -p $(@D); echo 'GEN $@'; gzip -9n <$< >$@.part && mv $@.part $@

$B/src/source/endpoint_files.o: $(EMBEDDED)

$B/gen/roots.o: build/gen/roots.c $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(SAME) -c $< -o $@

$B/bearssl/%.o: $(BEARSSL)/%.c $B/flags-bearssl
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(BEARSSL_CFLAGS) $(SAME) $(BEARSSL_FLAGS) -MMD -MP -c $< -o $@

$B/vendor/%.o: vendor/%.c $B/flags-bearssl
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) $(lto) $(SAME) $(WARN) $(DEFS) $(INCLUDES) -MMD -MP -c $< -o $@

$B/libbearssl.a: $(BEARSSL_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

# --- binaries ------------------------------------------------------------------------------------
# LINK OBJECTS: link, look at what came out, strip. The unstripped one stays for debuggers:
# tests/README.md.
define link
	@mkdir -p $(@D) $B/debug; echo 'LD  $@'
	@$(CC) $(LDFLAGS) $(NO_PATH) -o $B/debug/$(@F) $(CRT) $(1) $B/libbearssl.a $(LIBS) $(CRT_END)
	@vendor/check-binary.sh $B/debug/$(@F) $(if $(PIE),pie,fixed)
	@$(STRIP) $(STRIP_FLAGS) -o $@.part $B/debug/$(@F) && mv $@.part $@
endef
LINKED := $B/libcore.a $(START_OBJ) $B/libbearssl.a vendor/check-binary.sh vendor/build.mk

# An archive, so that a part which a program does not name is not read at all: what one object
# without bytecode (NO_LTO) refers to, LTO would else keep in every program.
$B/libcore.a: $(CORE_OBJ)
	@echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

$(OUT)/worker: $B/src/main.o $(SBOM_OBJ) $(LINKED)
	$(call link,$< $(SBOM_OBJ) $B/libcore.a)

# The same with the GPU part, which is most of it; see src/main.c.
$B/src/main_gpu.o: src/main.c $B/flags
	@mkdir -p $(@D); echo 'CC  $< (GPU)'
	@$(CC) $(CFLAGS) $(SAME) $(WARN) $(DEFS) -DWORKER_GPU $(INCLUDES) -MMD -MP -c $< -o $@

$(OUT)/worker-gpu: $B/src/main_gpu.o $(SBOM_OBJ) $(LINKED)
	$(call link,$< $(SBOM_OBJ) $B/libcore.a)

.SECONDEXPANSION:
$(OUT)/handlers/%: $$(call handler_objects,$$*,$B) $(LINKED)
	$(call link,$(call handler_objects,$*,$B) $B/libcore.a)

# --- root certificates ---------------------------------------------------------------------------
# The compiler of them is a program of this machine, on musl as well: no other headers are needed.
ROOT_CERTS := $(sort $(wildcard $(ROOTS_DIR)/*.crt))
HOST_GCC_DIR := $(patsubst %/,%,$(dir $(shell $(HOST_CC) -print-libgcc-file-name)))
ROOTS_SRC := vendor/roots.c $(addprefix $(BEARSSL)/src/,x509/x509_decoder.c codec/pemdec.c) \
    src/net/tls_name.c src/net/tls_der.c src/base/utf8_escape.c
ROOTS_HDR := $(addprefix src/,base/hash.h base/slice.h net/tls_name.h net/tls_der.h)

build/gen/roots: $(ROOTS_SRC) $(ROOTS_HDR)
	@mkdir -p $(@D); echo 'CC  $<'
	@$(HOST_CC) -O1 -Wall -Wextra -nostdinc -isystem $(shell $(HOST_CC) -print-file-name=include) \
	    -isystem $(HOST_MUSL_INC) $(DEFS) -Isrc -I$(BEARSSL)/inc -I$(BEARSSL)/src \
	    -ffunction-sections -nostdlib -static -no-pie -Wl,--gc-sections \
	    -o $@ $(HOST_MUSL_LIB)/crt1.o $(HOST_MUSL_LIB)/crti.o \
	    $(ROOTS_SRC) $(HOST_MUSL_LIB)/libc.a $(HOST_GCC_DIR)/libgcc.a $(HOST_MUSL_LIB)/crtn.o

build/gen/roots.c: build/gen/roots $(ROOT_CERTS)
	@echo 'GEN $@'; build/gen/roots $@.part $(ROOT_CERTS) && mv $@.part $@

-include $(CORE_SRC:%.c=$B/%.d) $(call handler_deps,$B) $B/src/main.d \
    $B/src/main_gpu.d $B/src/app/sbom.d $(BEARSSL_OBJ:.o=.d) $(START_OBJ:.o=.d)
