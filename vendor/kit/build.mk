# The core that handlers are linked with by vendor/kit/bin/worker-cc: $(OUT)/core, a folder like
# the kit's.
#   core  bin/worker-cc, bin/worker-c++, include/, lib/
# Its objects are those of the shipped binaries, for any linker: without the bytecode that LTO
# reads, and with every name but rp_... behind the prefix rp__, so that a program's own names are
# free. They keep their debug information; vendor/kit/pack.sh takes it out.
include vendor/build.mk

CORE := $(OUT)/core
LD := $(patsubst %strip,%ld,$(STRIP))
NM := $(patsubst %strip,%nm,$(STRIP))
OBJCOPY := $(patsubst %strip,%objcopy,$(STRIP))

GPU_OBJ := $(filter $B/src/gpu/% $B/src/loader/%,$(CORE_OBJ))
# The object that keeps relocated memory read-only is part of the one that every program needs.
MAIN_OBJ := $B/src/app/start.o $B/vendor/relro.o
# Taken by worker-cc where the linker of the machine that links packs relocations, whatever this
# machine's does.
PACKED_OBJ := $(if $(filter x86_64,$(TARGET)),$B/vendor/relr.o)
PLAIN_OBJ := $(filter-out $(GPU_OBJ) $(MAIN_OBJ),$(CORE_OBJ) $(SBOM_OBJ) $(BEARSSL_OBJ)) \
    $(PACKED_OBJ)

$B/kit/start.o: $(MAIN_OBJ)
	@mkdir -p $(@D); echo 'LD  $@'; $(LD) -r -o $@ $^

# Without bytecode at once: of an object that has some, nm shows its names alone.
DROP_LTO := -D --wildcard --remove-section='.gnu.lto_*' --remove-section='.gnu.debuglto_*'
define pack
	@mkdir -p $(@D); echo 'AR  $@'; rm -f $@.part
	@$(AR) qcSD $@.part $(filter %.o,$^) && $(OBJCOPY) $(DROP_LTO) $@.part $@
	@$(AR) sD $@; rm -f $@.part
endef

$B/kit/worker.a: $B/kit/start.o $(PLAIN_OBJ) vendor/kit/build.mk
	$(pack)

$B/kit/worker_gpu.a: $(GPU_OBJ) vendor/kit/build.mk
	$(pack)

$B/kit/cxx.o: vendor/kit/cxx.c $B/flags
	@mkdir -p $(@D); echo 'CC  $<'
	@$(CC) $(CFLAGS) -fno-lto $(SAME) $(WARN) $(DEFS) -c $< -o $@

$(CORE)/lib/libworker_cxx.a: $B/kit/cxx.o
	@mkdir -p $(@D); echo 'AR  $@'; rm -f $@; $(AR) rcsD $@ $^

$B/kit/names: $B/kit/worker.a $B/kit/worker_gpu.a
	@echo 'GEN $@'
	@$(NM) -g --defined-only --format=posix $^ 2>/dev/null | \
	    awk 'NF > 2 && $$1 !~ /^rp_/ { print $$1, "rp__" $$1 }' | LC_ALL=C sort -u >$@.part
	@mv $@.part $@

$(CORE)/lib/lib%.a: $B/kit/%.a $B/kit/names
	@mkdir -p $(@D); echo 'GEN $@'
	@$(OBJCOPY) -D --redefine-syms=$B/kit/names $< $@.part
	@$(AR) sD $@.part; mv $@.part $@

# --- what is only copied -------------------------------------------------------------------------
DRIVERS := $(CORE)/bin/worker-cc $(CORE)/bin/worker-c++
HEADERS := $(CORE)/include/worker.h $(CORE)/include/rp_gpu.h
BESIDE := $(CORE)/lib/worker.specs $(CORE)/lib/worker-c++.h

$(DRIVERS): vendor/kit/bin/worker-cc
	@mkdir -p $(@D); install -m 0755 $< $@

$(HEADERS): $(CORE)/include/%: src/%
	@mkdir -p $(@D); install -m 0644 $< $@

$(BESIDE): $(CORE)/lib/%: vendor/kit/lib/%
	@mkdir -p $(@D); install -m 0644 $< $@

$(CORE)/lib/check-binary.sh: vendor/check-binary.sh
	@mkdir -p $(@D); install -m 0755 $< $@

.PHONY: core
core: $(addprefix $(CORE)/lib/,libworker.a libworker_gpu.a libworker_cxx.a check-binary.sh) \
    $(DRIVERS) $(HEADERS) $(BESIDE)
	@touch $(CORE)/stamp
