"""What a library asks of a loader, read from its file alone, as no binutils have to be there."""

import mmap
import struct

KINDS = {1: "64", 6: "GLOB_DAT", 7: "JUMP_SLOT", 8: "RELATIVE", 16: "DTPMOD", 17: "DTPOFF", 18: "TPOFF", 36: "TLSDESC", 37: "IRELATIVE"}
LOAD, DYNAMIC, TLS = 1, 2, 7
NEEDED, STRINGS, SYMBOLS, RELA, RELA_BYTES, PLT, PLT_BYTES, RELR = 1, 5, 6, 7, 8, 23, 2, 36


class Library:
    """Of a 64-bit little-endian file: needed, relocations {kind: count}, tls [bytes, alignment] or None, imports."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if self.bytes[:6] != b"\x7fELF\x02\x01":
            raise ValueError("it is not a 64-bit ELF file")
        table, count = struct.unpack_from("<Q", self.bytes, 32)[0], struct.unpack_from("<H", self.bytes, 56)[0]
        self.parts = [struct.unpack_from("<IIQQQQQQ", self.bytes, table + 56 * i) for i in range(count)]
        self.tls = next(([part[6], part[7]] for part in self.parts if part[0] == TLS), None)
        self.relocations, self.needed, self.imports = {}, [], []
        self._read()

    def _offset(self, address):
        return next(p[2] + address - p[3] for p in self.parts if p[0] == LOAD and p[3] <= address < p[3] + p[5])

    def _text(self, at):
        return self.bytes[at : self.bytes.find(b"\0", at)].decode("ascii", "replace")

    def _read(self):
        part = next(part for part in self.parts if part[0] == DYNAMIC)
        entries, needed = {}, []
        for i in range(part[5] // 16):
            tag, value = struct.unpack_from("<qQ", self.bytes, part[2] + 16 * i)
            if tag == 0:
                break
            if tag == NEEDED:
                needed.append(value)
            entries[tag] = value
        strings, symbols, last = self._offset(entries[STRINGS]), self._offset(entries[SYMBOLS]), 0
        self.needed = [self._text(strings + at) for at in needed]
        if RELR in entries:
            self.relocations["RELR"] = 1
        for table, size in ((RELA, RELA_BYTES), (PLT, PLT_BYTES)):
            at = self._offset(entries[table]) if table in entries else 0
            for i in range(entries.get(size, 0) // 24 if at else 0):
                (info,) = struct.unpack_from("<Q", self.bytes, at + 24 * i + 8)
                kind = KINDS.get(info & 0xFFFFFFFF, str(info & 0xFFFFFFFF))
                self.relocations[kind] = self.relocations.get(kind, 0) + 1
                last = max(last, info >> 32)
        for i in range(1, last + 1):
            name, info, _, section = struct.unpack_from("<IBBH", self.bytes, symbols + 24 * i)
            if section == 0 and name and info >> 4 != 2:  # undefined and not weak
                self.imports.append(self._text(strings + name))
