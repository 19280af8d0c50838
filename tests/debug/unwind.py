"""Lets gdb walk through musl's functions, which the distribution builds without frame tables.

    gdb -x tests/debug/unwind.py build/x86_64/debug/worker

Our own code has frame tables (.debug_frame). Where a thread waits, its innermost frames are musl's system
calls, and gdb loses its way there. For a function without line information this unwinder reads the
instructions from the function's start and counts what each of them pushes and pops. x86-64 only.
"""

import re

import gdb
from gdb.unwinder import Unwinder, register_unwinder

WORD = 8
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")  # those that a callee has to give back (System V ABI)
END_OF_STACK = {"__clone", "_start"}  # nobody called these


class Layout:
    """What a function has on its stack before each of its instructions."""

    def __init__(self, architecture, start, pc):
        self.depth = {}  # address: bytes pushed
        self.saved = {}  # register: bytes between the return address and where it was pushed
        instructions = architecture.disassemble(start, pc + 256)
        self.code = {one["addr"]: (one["asm"], one["addr"] + one["length"]) for one in instructions}
        todo = [(start, 0)]
        while todo:
            address, depth = todo.pop()
            while address in self.code and address not in self.depth:
                self.depth[address] = depth
                text, after = self.code[address]
                depth += self._pushed(text, depth)
                target = re.match(r"j\w+\s+(0x[0-9a-f]+)", text)
                if target:
                    todo.append((int(target[1], 16), depth))
                if re.match(r"(ret|jmp|hlt)\b", text):
                    break
                address = after

    def _pushed(self, text, depth):
        push = re.match(r"push\w?\s+%?(\S+)", text)
        if push:
            if push[1] in SAVED:
                self.saved.setdefault(push[1], depth + WORD)
            return WORD
        if re.match(r"pop\w?\s", text):
            return -WORD
        moved = re.match(r"(sub|add)q?\s+\$(-?0x[0-9a-f]+),%rsp", text)
        if moved:
            return int(moved[2], 16) * (1 if moved[1] == "sub" else -1)
        moved = re.match(r"lea\s+(-?0x[0-9a-f]+)\(%rsp\),%rsp", text)
        return -int(moved[1], 16) if moved else 0


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class MuslUnwinder(Unwinder):
    def __init__(self):
        super().__init__("musl without frame tables")
        self.layouts = {}

    def __call__(self, pending):
        if pending.architecture().name() != "i386:x86-64":
            return None
        pc = int(pending.read_register("rip"))
        table = gdb.find_pc_line(pc).symtab
        if table is not None and not table.filename.endswith(".s"):
            return None  # ours: gdb knows
        where = re.match(r"(\w+)(?: \+ (\d+))? in section", gdb.execute(f"info symbol {pc}", to_string=True))
        return self._unwind(pending, pc, where[1], pc - int(where[2] or 0)) if where else None

    def _unwind(self, pending, pc, name, start):
        sp = pending.read_register("rsp")
        if name in END_OF_STACK:
            info = pending.create_unwind_info(FrameId(sp, gdb.Value(start)))
            info.add_saved_register("rip", gdb.Value(0).cast(pending.read_register("rip").type))
            info.add_saved_register("rsp", sp)
            return info
        layout = self.layouts.setdefault((start, pc), Layout(pending.architecture(), start, pc))
        if pc not in layout.depth:
            return None
        word = gdb.lookup_type("unsigned long")
        caller = int(sp) + layout.depth[pc]  # the address of the return address

        def stored(address):
            return gdb.Value(address).cast(word.pointer()).dereference()

        info = pending.create_unwind_info(FrameId(gdb.Value(caller + WORD), gdb.Value(start)))
        info.add_saved_register("rip", stored(caller).cast(pending.read_register("rip").type))
        info.add_saved_register("rsp", gdb.Value(caller + WORD).cast(sp.type))
        for register, depth in layout.saved.items():
            if depth <= layout.depth[pc]:
                kind = pending.read_register(register).type
                info.add_saved_register(register, stored(caller - depth).cast(kind))
        return info


register_unwinder(None, MuslUnwinder(), replace=True)
