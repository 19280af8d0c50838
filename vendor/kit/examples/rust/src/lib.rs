//! Turns input.text around, in Rust:
//!     cargo build --release --offline
//!     worker-cc -O2 -o reverse main.c target/release/libhandler.a
//!     ./reverse --test_input '{"input": {"text": "stressed"}}'
//! This way it is Rust's core alone, which is the same for every libc. The whole standard library
//! comes with the target x86_64-unknown-linux-musl (rustup target add): give that to cargo as
//! `--target`, and no_std and panic_handler below can go.
#![no_std]

use core::slice;

/// The worker's, which nobody looks into.
#[repr(C)]
pub struct Job {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Str {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Value {
    job: *mut Job,
    index: u32,
}

extern "C" {
    fn rp_input(job: *mut Job) -> Value;
    fn rp_get_str(object: Value, name: *const u8, out: *mut Str) -> i32;
    fn rp_alloc(job: *mut Job, size: usize) -> *mut u8;
    fn rp_return(job: *mut Job, format: *const u8, ...) -> i32;
    fn rp_fail_at(
        job: *mut Job,
        file: *const u8,
        line: i32,
        function: *const u8,
        format: *const u8,
        ...
    ) -> i32;
    fn abort() -> !;
}

const RP_OK: i32 = 0;

/// A literal for C, which ends with NUL.
macro_rules! c {
    ($text:expr) => {
        concat!($text, "\0").as_ptr()
    };
}

macro_rules! fail {
    ($job:expr, $why:expr) => {
        rp_fail_at($job, c!(file!()), line!() as i32, c!("handle"), c!($why))
    };
}

/// The characters of `from`, the last first, as UTF-8 into `to`, which is as long.
fn reverse(from: &str, to: &mut [u8]) {
    let mut end = to.len();
    for character in from.chars() {
        let start = end - character.len_utf8();
        character.encode_utf8(&mut to[start..end]);
        end = start;
    }
}

/// # Safety
/// `job` is the worker's.
#[no_mangle]
pub unsafe extern "C" fn handle(job: *mut Job, _user: *mut u8) -> i32 {
    let mut text = Str { ptr: core::ptr::null(), len: 0 };
    if rp_get_str(rp_input(job), c!("text"), &mut text) != RP_OK {
        return fail!(job, "input.text must be a string");
    }
    let memory = rp_alloc(job, text.len + 1);
    if memory.is_null() || text.len == 0 {
        return fail!(job, "input.text is empty, or too long");
    }
    match core::str::from_utf8(slice::from_raw_parts(text.ptr, text.len)) {
        Ok(from) => reverse(from, slice::from_raw_parts_mut(memory, text.len)),
        Err(_) => return fail!(job, "input.text is not UTF-8"),
    }
    let answer = Str { ptr: memory, len: text.len };
    rp_return(job, c!("{\"reversed\": %S}"), &answer as *const Str)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { abort() }
}
